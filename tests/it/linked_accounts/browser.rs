//! A browser of one person: cookies per host, redirects, forms. It tells the test's servers who sits in front of it.

use std::collections::HashMap;

use url::Url;

use crate::gate::Gate;
use crate::wire::{Reach, Req, Resp};

pub(crate) struct Browser<'g> {
    gate: &'g Gate,
    person: String,
    cookies: HashMap<String, HashMap<String, String>>,
}

/// What is on the screen.
pub(crate) struct Screen {
    pub(crate) url: Url,
    pub(crate) resp: Resp,
}

impl Screen {
    /// What the form that holds `mark` sends when its button `value` is pressed.
    pub(crate) fn fields(&self, mark: &str, value: &str) -> Vec<(String, String)> {
        let mut fields = self.form(mark);
        fields.push(("do".to_owned(), value.to_owned()));
        fields
    }

    /// The fields of the form whose markup holds `mark`.
    fn form(&self, mark: &str) -> Vec<(String, String)> {
        let text = self.resp.text();
        let form = text.split("<form").skip(1).find(|form| form.contains(mark)).unwrap_or_else(|| panic!("no form: {text}"));
        let form = form.split("</form>").next().unwrap();
        let fields = form.split("<input type=\"hidden\" name=\"").skip(1);
        fields
            .map(|field| {
                let (name, rest) = field.split_once("\" value=\"").unwrap();
                (name.to_owned(), rest.split_once('"').unwrap().0.to_owned())
            })
            .collect()
    }
}

impl<'g> Browser<'g> {
    pub(crate) fn of(gate: &'g Gate, person: &str) -> Self {
        Self { gate, person: person.to_owned(), cookies: HashMap::new() }
    }

    /// Opens `url` and follows where it leads.
    pub(crate) async fn open(&mut self, url: &str) -> Screen {
        let first = Url::parse(url).unwrap();
        let resp = self.get(&first).await;
        self.follow(first, resp).await
    }

    /// Opens `url` and stops at the first answer.
    pub(crate) async fn get(&mut self, url: &Url) -> Resp {
        self.send(url, self.request("GET", url)).await
    }

    /// Presses the button `value` of the form that holds `mark`, and follows where it leads.
    pub(crate) async fn press(&mut self, screen: &Screen, mark: &str, value: &str) -> Screen {
        let resp = self.pressed(screen, mark, value).await;
        self.follow(screen.url.clone(), resp).await
    }

    /// As [`Self::press`], without following.
    pub(crate) async fn pressed(&mut self, screen: &Screen, mark: &str, value: &str) -> Resp {
        self.post(&screen.url, &screen.fields(mark, value)).await
    }

    pub(crate) async fn post(&mut self, url: &Url, fields: &[(String, String)]) -> Resp {
        let origin = url.origin().ascii_serialization();
        self.post_from(url, fields, &[("Origin", &origin), ("Sec-Fetch-Site", "same-origin")]).await
    }

    /// Sends a form from a page of which the browser says `from`.
    pub(crate) async fn post_from(&mut self, url: &Url, fields: &[(String, String)], from: &[(&str, &str)]) -> Resp {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.request("POST", url).add("Content-Type", "application/x-www-form-urlencoded");
        let request = from.iter().fold(request, |request, (name, value)| request.add(name, value));
        self.send(url, request.body(body)).await
    }

    pub(crate) async fn follow(&mut self, mut url: Url, mut resp: Resp) -> Screen {
        for _ in 0..12 {
            let Some(next) = resp.header("location").filter(|_| (301..=308).contains(&resp.status)) else {
                return Screen { url, resp };
            };
            url = url.join(next).unwrap();
            resp = self.get(&url).await;
        }
        panic!("round and round at {url}")
    }

    fn request(&self, verb: &str, url: &Url) -> Req {
        let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let host = authority(url);
        let cookies = self.cookies.get(&host).into_iter().flatten().map(|(name, value)| format!("{name}={value}"));
        let cookies = cookies.collect::<Vec<_>>().join("; ");
        let request = Req::new(verb, &target).add("Host", &host).add("X-Person", &self.person);
        if cookies.is_empty() { request } else { request.add("Cookie", &cookies) }
    }

    async fn send(&mut self, url: &Url, request: Req) -> Resp {
        let host = authority(url);
        let resp = if host == self.gate.authority() {
            self.gate.reach.send(&request.without("X-Person")).await
        } else {
            Reach::plain(host.parse().unwrap()).send(&request).await
        };
        for (_, cookie) in resp.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            let jar = self.cookies.entry(host.clone()).or_default();
            if cookie.contains("Max-Age=0") {
                jar.remove(name)
            } else {
                jar.insert(name.to_owned(), value.to_owned())
            };
        }
        resp
    }
}

fn authority(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap(), url.port_or_known_default().unwrap())
}
