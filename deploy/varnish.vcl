# Varnish 7.0 or newer in front of Framekeep, with its own cache, which Framekeep purges by tag:
#
#   FRAMEKEEP_CDN_PURGE_URLS=http://127.0.0.1:6081/
#   FRAMEKEEP_CDN_PURGE_METHOD=BAN
vcl 4.1;

import std;

backend framekeep {
    .host = "127.0.0.1";
    .port = "8080";
    .first_byte_timeout = 35s;  # longer than FRAMEKEEP_LIMITS_REQUEST_TIMEOUT_SECONDS
    .between_bytes_timeout = 30s;
    .probe = {
        .url = "/health/ready";
        .interval = 2s;
        .timeout = 5s;
        .window = 5;
        .threshold = 2;
        .initial = 2;
    }
}

# Who may purge: where Framekeep runs.
acl purgers {
    "127.0.0.1";
    "::1";
}

sub vcl_recv {
    if (req.method == "BAN") {
        if (client.ip !~ purgers || !req.http.x-ban-tags) {
            return (synth(403));
        }
        # On `obj` only, so that the ban lurker can check it in the background.
        if (!std.ban("obj.http.surrogate-key ~ " + req.http.x-ban-tags)) {
            return (synth(400, std.ban_error()));
        }
        return (synth(200, "Banned"));
    }

    # Not for the public. Framekeep serves these at their exact path only.
    if (req.url ~ "(?i)^/+(admin|metrics|playground)(/|\?|$)") {
        return (synth(404));
    }

    # The APIs are not cached, and need the original headers.
    if (req.url ~ "(?i)^/+(vision|computervision|image-transformation)/") {
        return (pass);
    }

    # Reduce Accept to what decides the format, so that one link is cached at most four times.
    # With FRAMEKEEP_LINKS_AUTO_JXL=true add image/jxl in the same way. Without it leave JPEG XL
    # out: each link would be cached twice.
    if (req.http.Accept ~ "image/avif(?!\s*;\s*q=0(\.0*)?\s*(,|$))") {
        set req.http.x-formats = "image/avif,";
    } else {
        set req.http.x-formats = "";
    }
    if (req.http.Accept ~ "image/webp(?!\s*;\s*q=0(\.0*)?\s*(,|$))") {
        set req.http.x-formats = req.http.x-formats + "image/webp,";
    }
    set req.http.Accept = req.http.x-formats + "*/*";
    unset req.http.x-formats;

    # The grace of an object is its stale-if-error, see below.
    if (std.healthy(req.backend_hint)) {
        set req.grace = 1d;  # FRAMEKEEP_CACHE_STALE_WHILE_REVALIDATE
    }

    # Links depend on no cookie.
    unset req.http.Cookie;
}

sub vcl_backend_response {
    # Varnish reads stale-while-revalidate as the grace. While Framekeep is down, stale-if-error counts.
    if (beresp.ttl > 0s && beresp.http.Cache-Control ~ "stale-if-error=[0-9]+") {
        set beresp.grace = std.duration(
            regsub(beresp.http.Cache-Control, "^.*stale-if-error=([0-9]+).*$", "\1s"), 0s);
    }
    # Let Framekeep answer 304 to what was cached.
    set beresp.keep = 1h;
}

sub vcl_deliver {
    if (obj.hits > 0) {
        set resp.http.X-Edge-Cache = "HIT";
    } else {
        set resp.http.X-Edge-Cache = "MISS";
    }
}
