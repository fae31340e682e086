"""A window that slides."""

from proxy.api.http.rate_limit import Rates, Turn


def test_places_come_free_one_by_one() -> None:
    now = [1000.0]
    rates = Rates(2, lambda: now[0])
    assert rates.take("a") == Turn(granted=True, remaining=1, reset=1060, wait=60)
    now[0] = 1030.0
    assert rates.take("a") == Turn(granted=True, remaining=0, reset=1060, wait=30)
    assert rates.take("a") == Turn(granted=False, remaining=0, reset=1060, wait=30)
    now[0] = 1060.0
    assert rates.take("a") == Turn(granted=True, remaining=0, reset=1090, wait=30)


def test_keys_do_not_share() -> None:
    rates = Rates(1, lambda: 0.0)
    assert [rates.take(key).granted for key in "aab"] == [True, False, True]


def test_only_so_many_keys_are_remembered() -> None:
    rates = Rates(1, lambda: 0.0)
    for at in range(5000):
        rates.take(str(at))
    assert rates.take("0").granted
