//! One request and its answer over one connection.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use url::Url;

use super::{FetchError, Replied};
use crate::net::stream::{Origin, Stream};
use crate::vocab::limits::{HEADER_BYTES_MAX, HEADER_COUNT_MAX};

/// The request for `url` in origin form. `Host` and `User-Agent` are ours whatever `headers` holds.
pub(super) fn request(
    method: Method,
    url: &Url,
    origin: &Origin,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, FetchError> {
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().map_err(|_| FetchError::Scheme)?;
    *request.headers_mut() = headers;
    let host = origin.authority().parse().map_err(|_| FetchError::Scheme)?;
    request.headers_mut().insert(HOST, host);
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("portcullis"));
    Ok(request)
}

pub(super) async fn run(stream: Stream, request: Request<Full<Bytes>>, bytes_max: usize) -> Result<Replied, FetchError> {
    let (mut sender, mut connection) = http1::Builder::new()
        .max_headers(HEADER_COUNT_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await?;
    let work = async move {
        let response = sender.send_request(request).await?;
        read(response, bytes_max).await
    };
    tokio::pin!(work);
    // The connection is driven here, beside its only request, so that it ends with it.
    tokio::select! {
        biased;
        done = &mut work => return done,
        ended = &mut connection => ended?,
    }
    work.await
}

async fn read(response: Response<Incoming>, bytes_max: usize) -> Result<Replied, FetchError> {
    let (head, mut body) = response.into_parts();
    if head.status.is_redirection() {
        return Err(FetchError::Redirect(head.status));
    }
    if head.headers.get(CONTENT_ENCODING).is_some_and(|v| !v.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(FetchError::Encoded);
    }
    let announced = body.size_hint().lower();
    if announced > u64::try_from(bytes_max).unwrap_or(u64::MAX) {
        return Err(FetchError::TooLarge(bytes_max));
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if whole.len().saturating_add(data.len()) > bytes_max {
            return Err(FetchError::TooLarge(bytes_max));
        }
        whole.extend_from_slice(&data);
    }
    Ok(Replied { status: head.status, headers: head.headers, body: whole.freeze() })
}
