"""How long `make up` waits for whom: services that are not there, and a clock that goes as fast as it is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from foundation.errors import NotReady, PinflowError, PreflightError
from foundation.service import Command, Say, Service
from pinflow.stack.start import Start, Vitals


def service(name: str, *needs: str, timeout: float = 60) -> Service:
    return Service(
        name=name,
        title=name.upper(),
        ports=lambda profile: [],
        command=lambda profile: Command([]),
        probe=lambda profile: None,
        memory=0,
        needs=needs,
        timeout=timeout,
    )


def nothing(now: float) -> Vitals:
    return Vitals()


@dataclass
class Fake:
    """One service's process: when it is ready, and what is seen of it, by seconds since the start."""

    ready_at: float = 0
    vitals: Callable[[float], Vitals] = nothing
    log: Callable[[float], str] = lambda now: "    started"
    answer: Callable[[float], str] = lambda now: "Connection refused"
    launched: Callable[[], None] = lambda: None


@dataclass
class Stack:
    """A Runner on a clock of its own."""

    services: list[Service]
    fakes: dict[str, Fake]
    now: float = 1000
    before: set[str] = field(default_factory=set)
    launches: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def up(self, slowness: float = 1) -> float:
        """Run `up`; returns the seconds that it took. Raises what `up` raises."""
        Start(self, self.said.append, slowness, lambda: self.now, self._sleep).run()
        return self.now - 1000

    def running(self, name: str) -> bool:
        return name in self.before

    def launch(self, service: Service) -> None:
        self.launches.append(service.name)
        self.fakes[service.name].launched()

    def probe(self, service: Service) -> None:
        fake = self.fakes[service.name]
        if self.now - 1000 < fake.ready_at:
            raise NotReady(fake.answer(self.now - 1000))

    def initialise(self, service: Service, say: Say) -> None: ...

    def vitals(self, name: str) -> Vitals:
        return self.fakes[name].vitals(self.now - 1000)

    def last_lines(self, name: str) -> str:
        return self.fakes[name].log(self.now - 1000)

    def log(self, name: str) -> str:
        return f"logs/{name}.log"

    def _sleep(self, seconds: float) -> None:
        self.now += seconds


def kafka(fake: Fake, timeout: float = 60) -> Stack:
    return Stack([service("kafka", timeout=timeout)], {"kafka": fake})


def failure(stack: Stack, slowness: float = 1) -> tuple[str, float]:
    """What `up` says, and after how many seconds."""
    with pytest.raises(PinflowError) as error:
        stack.up(slowness)
    return str(error.value), stack.now - 1000


PROGRESS = {
    "CPU time, a tenth of one CPU": Fake(300, vitals=lambda now: Vitals(cpu=now / 10)),
    "log lines": Fake(300, log=lambda now: f"    loading part {'abcdefghijklmnopqrstuvwxyz'[int(now) // 50]}"),
    "answers of the probe": Fake(300, answer=lambda now: f"warm-up: step {'abcdefghijk'[int(now) // 50]}"),
}


@pytest.mark.parametrize("fake", PROGRESS.values(), ids=PROGRESS)
def test_a_service_that_makes_progress_may_take_far_longer_than_its_timeout(fake: Fake) -> None:
    stack = kafka(fake)
    assert stack.up() >= 300
    assert any(line.startswith("kafka        ready after 30") for line in stack.said)


NO_PROGRESS = {
    "nothing at all": Fake(10_000),
    "an idle JVM": Fake(10_000, vitals=lambda now: Vitals(cpu=now * 0.02)),
    "a retry in the log": Fake(10_000, log=lambda now: f"    12:00:{now:.0f} attempt {now:.0f}: connection refused"),
    "a retry of the probe": Fake(10_000, answer=lambda now: f"no heartbeat for {now:.0f} s"),
}


@pytest.mark.parametrize("fake", NO_PROGRESS.values(), ids=NO_PROGRESS)
def test_a_service_without_progress_fails_after_its_timeout(fake: Fake) -> None:
    said, seconds = failure(kafka(fake))
    assert 60 <= seconds < 70
    assert said.startswith(f"kafka: not ready after {seconds:.0f} s, and no progress for 6")
    assert fake.answer(seconds) in said
    assert fake.log(seconds) in said
    assert "the whole log: logs/kafka.log" in said


def test_no_service_is_waited_for_without_end() -> None:
    said, seconds = failure(kafka(Fake(10_000, vitals=lambda now: Vitals(cpu=now))))
    assert 600 <= seconds < 610
    assert "kafka: not ready after 60" in said


def test_containers_have_more_time() -> None:
    assert 180 <= failure(kafka(Fake(10_000)), slowness=3)[1] < 190


def test_three_exits_are_enough() -> None:
    """Each process works hard and logs much before it exits, every four seconds."""
    fake = Fake(
        10_000, vitals=lambda now: Vitals(exits=int(now // 4), cpu=now), log=lambda now: "    main class projects.pin"
    )
    said, seconds = failure(kafka(fake))
    assert 12 <= seconds < 14
    assert said.startswith("kafka: exited 3 times without becoming ready: Connection refused")
    assert "main class projects.pin" in said


def test_two_exits_are_not_too_many() -> None:
    assert kafka(Fake(20, vitals=lambda now: Vitals(exits=min(2, int(now // 4))))).up() >= 20


def test_what_is_certain_is_not_waited_for() -> None:
    said, seconds = failure(kafka(Fake(10_000, vitals=lambda now: Vitals(dead="`docker compose up` failed: no space"))))
    assert seconds < 1
    assert "kafka: `docker compose up` failed: no space" in said


def pipeline(**fakes: Fake) -> Stack:
    services = [
        service("mysql"),
        service("kafka"),
        service("rest_proxy", "kafka"),
        service("localstack"),
        service("connect", "kafka", "localstack"),
        service("spark"),
    ]
    return Stack(services, {one.name: fakes.get(one.name, Fake()) for one in services})


def test_what_does_not_need_a_failed_service_goes_on_to_ready() -> None:
    # Spark is ready long after Kafka has failed.
    stack = pipeline(kafka=Fake(10_000), spark=Fake(300, vitals=lambda now: Vitals(cpu=now)))
    said, _ = failure(stack)
    assert sorted(line.split()[0] for line in stack.said if " ready after " in line) == ["localstack", "mysql", "spark"]
    assert sorted(stack.launches) == ["kafka", "localstack", "mysql", "spark"]
    assert "rest_proxy: not started: it needs kafka" in said
    assert "connect: not started: it needs kafka" in said
    assert said.splitlines()[-1].strip() == "→ run `make up` again: it continues with what is not ready"


def test_every_failure_is_told_each_with_what_to_do() -> None:
    def no_server() -> None:
        raise PreflightError("MySQL: no server runs here", "install one")

    def broken() -> None:
        raise OSError("disk on fire")

    said, _ = failure(pipeline(mysql=Fake(launched=no_server), spark=Fake(launched=broken)))
    assert "MySQL: no server runs here\n  → install one" in said
    assert "spark: OSError: disk on fire\n  → the whole log: logs/spark.log" in said


def test_a_second_up_continues_with_what_is_not_ready() -> None:
    stack = pipeline(kafka=Fake(90, vitals=lambda now: Vitals(cpu=now)))
    stack.before = {"mysql", "kafka", "localstack", "spark"}
    stack.up()
    assert sorted(stack.launches) == ["connect", "rest_proxy"]
    assert any(line.startswith("kafka        was running; ready after 9") for line in stack.said)
