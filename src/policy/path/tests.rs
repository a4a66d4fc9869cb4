//! Paths that escape, and paths that do not.

use super::*;

#[rustfmt::skip]
const ESCAPES: &[&str] = &[
    "", "/", "srv/public/a", "./srv/public/a", " /srv/public/a", "file:///srv/public/a", "/srv", "/srv/", "/srv/publicity",
    "/srv/publicity/a", "/srv/public.bak", "/srv/Public/a", "/SRV/PUBLIC/a", "/etc/passwd", "/srv/public/..",
    "/srv/public/../", "/srv/public/../private", "/srv/public/../../etc/passwd", "/srv/public/a/../../private",
    "/srv/public/a/../../public/b", "/srv/public/../public/a", "/srv/private/../public/a", "/../srv/public/a",
    "/srv/../srv/public/a", "/srv/public/./../private", "/srv/public/a/./../../x", "//srv/public/a", "/srv//public/a",
    "/srv/public//a", "/srv/public//../private", "///etc/passwd", "/srv/public/..//../etc", "/srv/public/....//etc",
    "/srv/public/.../x", "/srv/public/.... /x", "/srv/public/.. /x", "/srv/public/ ../x", "/srv/public/..;/x",
    "/srv/public/..;a=b/x", "/srv/public/.;/x", "/srv/public/..././x", "/srv/public\\..\\private", "/srv/public/..\\x",
    "\\srv\\public\\a", "/srv/public/\\../x", "/srv/public/%2e%2e/x", "/srv/public/%2E%2E/x", "/srv/public/.%2e/x",
    "/srv/public/%2e./x", "/srv/public/%2e%2e%2fx", "/srv/public/..%2fx", "/srv/public/..%5cx", "/srv/public/%5c..%5cx",
    "/srv/public/%252e%252e/x", "/srv/public/..%252fx", "/srv/public/%25252e%25252e%25252fx", "/srv/public/%%32%65%%32%65/x",
    "/srv/public/%2%65%2%65/x", "/srv/public/..%c0%afx", "/srv/public/%c0%ae%c0%ae/x", "/srv/public/..%c1%9cx",
    "/srv/public/%e0%80%ae%e0%80%ae/x", "/srv/public/%e0%80%afx", "/srv/public/%f0%80%80%afx", "/srv/public/..%u2215x",
    "/srv/public/%u002e%u002e/x", "/srv/public/..%uff0fx", "/srv/public/%ef%bc%8e%ef%bc%8e/x", "/srv/public/..%ef%bc%8fx",
    "/srv/public/\u{ff0e}\u{ff0e}/x", "/srv/public/..\u{ff0f}x", "/srv/public/..\u{2215}x", "/srv/public/..\u{2044}x",
    "/srv/public/\u{2025}/x", "/srv/public/\u{2024}\u{2024}/x", "/srv/public/..\u{ff3c}x", "/srv/public/.\u{200b}./x",
    "/srv/public/..\u{feff}/x", "/srv/public/.\u{00ad}./x", "/srv/public/a\0", "/srv/public/../\0a", "/srv/public/a%00.txt",
    "/srv/public/a%2500.txt", "/srv/public/a\n", "/srv/public/..\r/x", "/srv/public/a\u{7f}", "/srv/public/a%0a", "~", "~/x",
    "~root/x", "/srv/public/~/x", "/srv/public/~root", "/srv/public/%7eroot", "/srv/public/PROGRA~1", "/srv/public/..%20/x",
    "/srv/public/%20../x%2f..", "/srv/public/\u{ff05}2e/x", "/srv/public/%ff", "/srv/public%2f..%2fx", "/srv/public%2fa",
    "/srv%2fpublic/a", "%2fsrv/public/a", "C:\\srv\\public", "\\\\host\\srv\\public", "/srv/public/%25%32%66..",
    "/srv/public/%2525252525252525252e", "/srv/public/\u{85}", "/srv/public/\u{202e}x",
];

#[rustfmt::skip]
const HONEST: &[&str] = &[
    "/srv/public", "/srv/public/", "/srv/public/a", "/srv/public/a/", "/srv/public/a/b/c.txt", "/srv/public/.hidden",
    "/srv/public/..hidden", "/srv/public/a..b", "/srv/public/a.", "/srv/public/./a", "/srv/./public/a", "/srv/public/a/../b",
    "/srv/public/a/b/../../c", "/srv/public/a/..", "/srv/public/with space/x y", "/srv/public/Größe/日本語.txt",
    "/srv/public/100%", "/srv/public/100%.txt", "/srv/public/a%20b", "/srv/public/%41", "/srv/public/a+b=c&d,e",
    "/srv/public/a:b@c", "/srv/public/[x]{y}(z)", "/srv/public/-rf", "/srv/public/a;v=1", "/srv/public/$HOME",
    "/srv/public/*", "/srv/public/x%2", "/srv/public/emoji😀", "/srv/public/srv/public",
];

fn public() -> Vec<Directory> {
    vec![Directory::parse("/srv/public").unwrap()]
}

#[test]
fn no_escape_passes() {
    assert!(ESCAPES.len() >= 60);
    for path in ESCAPES {
        assert_ne!(locate(&public(), path), Where::Under, "{path:?}");
    }
}

#[test]
fn honest_paths_pass() {
    assert!(HONEST.len() >= 20);
    for path in HONEST {
        assert_eq!(locate(&public(), path), Where::Under, "{path:?}");
    }
}

#[test]
fn nothing_hostile_counts_as_merely_elsewhere() {
    let etc = [Directory::parse("/etc").unwrap()];
    for path in ["/etc/passwd", "/etc/./passwd", "/etc/a/../passwd"] {
        assert_eq!(locate(&etc, path), Where::Under, "{path:?}");
    }
    for path in ["/srv/../etc/passwd", "//etc/passwd", "/%65tc%2fpasswd", "etc/passwd", "/srv/%2e%2e/etc", "/etc/../etc/x"] {
        assert_eq!(locate(&etc, path), Where::Hostile, "{path:?}");
    }
    assert_eq!(locate(&etc, "/srv/public"), Where::Outside);
}

#[test]
fn the_root_holds_every_honest_path() {
    let root = [Directory::parse("/").unwrap()];
    assert_eq!(locate(&root, "/etc/passwd"), Where::Under);
    assert_eq!(locate(&root, "/"), Where::Under);
    assert_ne!(locate(&root, "/.."), Where::Under);
    assert_ne!(locate(&root, "etc"), Where::Under);
}

#[test]
fn directories_of_policies_are_plain() {
    for text in ["", "srv", "/srv/../x", "/srv/./x", "/srv//x", "/%2e", "~/x", "/a\\b"] {
        assert!(Directory::parse(text).is_err(), "{text:?}");
    }
    assert_eq!(Directory::parse("/srv/").unwrap().as_str(), "/srv");
}

#[test]
fn uris_that_readers_disagree_about_are_hostile() {
    for uri in [
        "file:///srv/public/../x",
        "file:///srv/./x",
        "file:///srv/%2e%2e/x",
        "file:///srv/..%2fx",
        "file:///srv%2Fx",
        "file:///srv%252fx",
        "file:///srv\\x",
        "file:///srv/a%5cb",
        "file:///srv/a\0",
        "file:///a%00",
        "http://user@host/x",
        "http://user:pw@host/x",
        "file:///srv/..",
        "note:..",
        "file:///a/..;/b",
        "file:///a/..?x",
        "file:///a/..#x",
        "file:///%c0%ae/x",
        "file:///\u{ff0e}\u{ff0e}/x",
    ] {
        assert!(hostile_uri(uri), "{uri:?}");
    }
    for uri in [
        "file:///srv/public/a.txt",
        "note:///public/todo",
        "https://example.com:8443/a/b?q=1&r=a@b#frag",
        "urn:isbn:0451450523",
        "file:///srv/with%20space/x",
        "git://host/~user/repo",
        "demo://resource/static/document/a.md",
        "memo:x",
    ] {
        assert!(!hostile_uri(uri), "{uri:?}");
    }
}
