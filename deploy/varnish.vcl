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

    # Client hints choose from lists such as {auto,800,320,640}. Reduce them to a few values: whoever
    # sends another one cannot fill the cache. Widths that are not in the list of a link go up to the
    # next one there.
    unset req.http.Width;
    unset req.http.DPR;
    unset req.http.Viewport-Width;
    if (req.http.Sec-CH-Width ~ "^[1-9][0-9]{1,3}$") {
        set req.http.Sec-CH-Width = ((std.integer(req.http.Sec-CH-Width, 0) + 158) / 160) * 160;
    } else {
        unset req.http.Sec-CH-Width;
    }
    if (req.http.Sec-CH-Viewport-Width ~ "^[1-9][0-9]{1,3}$") {
        set req.http.Sec-CH-Viewport-Width =
            ((std.integer(req.http.Sec-CH-Viewport-Width, 0) + 158) / 160) * 160;
    } else {
        unset req.http.Sec-CH-Viewport-Width;
    }
    if (req.http.Sec-CH-DPR ~ "^(0?\.[0-9]+|1|1\.0+)$") {
        set req.http.Sec-CH-DPR = "1";
    } elsif (req.http.Sec-CH-DPR ~ "^(1\.[0-4][0-9]*|1\.50*)$") {
        set req.http.Sec-CH-DPR = "1.5";
    } elsif (req.http.Sec-CH-DPR ~ "^(1\.[0-9]+|2|2\.0+)$") {
        set req.http.Sec-CH-DPR = "2";
    } elsif (req.http.Sec-CH-DPR ~ "^(2\.[0-9]+|[3-9]|[3-9]\.[0-9]+)$") {
        set req.http.Sec-CH-DPR = "3";
    } else {
        unset req.http.Sec-CH-DPR;
    }
    if (req.http.Save-Data ~ "(?i)^on$") {
        set req.http.Save-Data = "on";
    } else {
        unset req.http.Save-Data;
    }

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
