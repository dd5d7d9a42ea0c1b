# make demo   a whole contact centre on this machine: a real Asterisk, a caller, an agent (ONCE=1: end after the story)
# make test   every test, on real Asterisks, several processes side by side (ARGS="tests/test_flow.py -x": some, in one)
# make fuzz   look for input that breaks AMI's and AGI's codecs, a minute each (SECONDS=600: longer)
# make bench  how fast AMI and FastAGI are, beside other libraries (ARGS="--json": one JSON object)
# make bench-acd  how fast the waiting room decides (ARGS as above)
# make lint   style and types
# make docs   the documentation, in docs/_build
# make clean  away with everything these made, but for the Asterisk in var/lab/root
# Each sets up what it needs: see .ci/setup.

BIN := .venv/bin
# Each process, and each daemon that a test starts, would compile everything anew, for half a minute.
unexport PYTHONDONTWRITEBYTECODE
PYTEST := $(BIN)/python -m pytest
# Real calls take real time and leave the machine idle: so they run together, and nothing beside them that computes.  A few that
# failed beside the others are tried once more with the machine to themselves, and that counts, as of those that measure it; why
# they failed before stands in the output.
REAL := tests/scenarios tests/conformance tests/wire $(patsubst %,tests/test_%.py,daemon demo busy_demo lab postgres store_faults watchdog)
FAILED := .pytest_cache/v/cache/lastfailed
AGAIN := [ $$? = 1 ] && test $$(grep -c : $(FAILED)) -le 5 && $(PYTEST) --last-failed

.PHONY: demo test fuzz bench bench-acd lint setup docs clean

demo: setup
	@$(BIN)/easycall demo $(if $(ONCE),--once)

test: setup
ifdef ARGS
	$(PYTEST) $(ARGS)
else
	$(PYTEST) -n 3 --dist worksteal -m "not alone" $(REAL:%=--ignore=%)
	$(PYTEST) -n 5 --dist worksteal -m "not alone" $(REAL) || { $(AGAIN) -m "not alone" $(REAL); }
	$(PYTEST) -m alone || { $(AGAIN) -m alone; }
endif

fuzz: setup
	$(BIN)/python -m pip install -q atheris==3.0.0
	SECONDS=$(or $(SECONDS),60) $(BIN)/python -m tests.fuzz.ami
	SECONDS=$(or $(SECONDS),60) $(BIN)/python -m tests.fuzz.agi

bench: setup
	@$(BIN)/python -m pip install -q panoramisk==1.4 pystrix==1.3.0
	@$(BIN)/python bench/wire.py $(ARGS)

bench-acd: setup
	@$(BIN)/python bench/acd.py $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup:
	@sh .ci/setup

docs: setup
	$(BIN)/sphinx-build -W -q docs docs/_build

clean:
	-$(BIN)/easycall lab down --all
	rm -rf .venv build docs/_build *.egg-info
