"""The sliding window of the rate limit."""

from proxy.api.http.rate_limit import RateLimiter, RateLimitResult


def test_the_window_has_room_again_request_by_request() -> None:
    now = [1000.0]
    limiter = RateLimiter(2, lambda: now[0])
    assert limiter.acquire("a") == RateLimitResult(
        allowed=True, remaining=1, reset_at=1060, retry_after=60
    )
    now[0] = 1030.0
    assert limiter.acquire("a") == RateLimitResult(
        allowed=True, remaining=0, reset_at=1060, retry_after=30
    )
    assert limiter.acquire("a") == RateLimitResult(
        allowed=False, remaining=0, reset_at=1060, retry_after=30
    )
    now[0] = 1060.0
    assert limiter.acquire("a") == RateLimitResult(
        allowed=True, remaining=0, reset_at=1090, retry_after=30
    )


def test_each_key_has_its_own_window() -> None:
    limiter = RateLimiter(1, lambda: 0.0)
    assert [limiter.acquire(key).allowed for key in "aab"] == [True, False, True]


def test_the_number_of_keys_is_bounded() -> None:
    limiter = RateLimiter(1, lambda: 0.0)
    for number in range(5000):
        limiter.acquire(str(number))
    assert limiter.acquire("0").allowed
