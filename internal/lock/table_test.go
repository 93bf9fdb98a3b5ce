package lock

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

const minute = time.Minute

func TestALockIsHandedOutInTheOrderOfRequests(t *testing.T) {
	r := newRig(t, nil)
	for _, who := range []string{"a", "b", "c", "d"} {
		r.acquire(who, minute)
	}
	r.want("a has l with 1")
	for i, who := range []string{"a", "b", "c"} {
		if err := r.release(who); err != nil {
			t.Fatal(err)
		}
		next := string("bcd"[i])
		r.want(fmt.Sprintf("%s has l with %d", next, i+2))
		r.wantHolder(next)
	}
	if err := r.release("d"); err != nil {
		t.Fatal(err)
	}
	r.wantHolder("")
	if len(r.records) != 0 || r.held != 0 || r.waiting != 0 {
		t.Errorf("records %v, %d held, %d waiting", r.records, r.held, r.waiting)
	}
}

func TestWhoDoesNotWaitIsToldWhoHoldsTheLock(t *testing.T) {
	r := newRig(t, nil)
	r.acquire("a", 0)
	r.acquire("b", 0)
	r.want("a has l with 1", `b: lock "l" is held by "a", with token 1`)
}

func TestAWaitEndsAtItsTime(t *testing.T) {
	r := newRig(t, nil)
	r.acquire("a", 0)
	if err := r.renew("a"); err != nil {
		t.Fatal(err)
	}
	r.acquire("b", 3*time.Second)
	r.acquire("c", 8*time.Second)
	r.said = nil
	r.pass(3*time.Second - 1)
	r.want()
	r.pass(1)
	r.want(`b: lock "l" is held by "a", with token 1`)
	if err := r.release("a"); err != nil {
		t.Fatal(err)
	}
	r.want("c has l with 2")
	if r.waiting != 0 {
		t.Errorf("%d are counted as waiting", r.waiting)
	}
}

func TestALockThatIsNotRenewedGoesToTheNext(t *testing.T) {
	r := newRig(t, nil)
	r.acquire("a", 0)
	if err := r.renew("a"); err != nil {
		t.Fatal(err)
	}
	r.acquire("b", minute)
	r.pass(9 * time.Second)
	if err := r.renew("a"); err != nil {
		t.Fatal(err)
	}
	r.pass(10*time.Second - 1)
	r.wantHolder("a")
	r.pass(1)
	r.wantHolder("b")
	if err := r.renew("a"); task.CodeOf(err) != task.CodeStale {
		t.Errorf("the late renewal got %v", err)
	}
	if r.expired != 1 {
		t.Errorf("%d locks expired", r.expired)
	}
	r.pass(minute) // b never confirms, and nobody waits
	r.wantHolder("")
}

func TestAGrantThatIsNotConfirmedGoesToTheNext(t *testing.T) {
	r := newRig(t, nil)
	r.ask(Request{Name: "l", Holder: "a", TTL: time.Hour})
	r.ask(Request{Name: "l", Holder: "b", TTL: time.Hour, Wait: time.Hour})
	if got := r.last["a"].Confirm; got != ConfirmWithin {
		t.Errorf("a is to confirm within %v", got)
	}
	r.pass(ConfirmWithin - 1)
	r.wantHolder("a")
	r.pass(1)
	r.wantHolder("b")
	if err := r.renew("b"); err != nil {
		t.Fatal(err)
	}
	r.pass(time.Hour - 1)
	r.wantHolder("b")
}

func TestTheTimeOfAGrantBeginsWhenItIsDurable(t *testing.T) {
	r := newRig(t, nil)
	r.known("l")
	r.table.Acquire(r.now, &Ticket{Request: Request{Name: "l", Holder: "a", TTL: time.Second}, Answer: func(Held, error) {}})
	r.pass(minute)
	r.wantHolder("a")
	r.settle()
	r.pass(time.Second)
	r.wantHolder("")
}

func TestACallerThatIsGoneIsNotGrantedSilently(t *testing.T) {
	r := newRig(t, nil)
	a := r.acquire("a", minute)
	b := r.acquire("b", minute)
	r.acquire("c", minute)
	r.withdraw(b) // in line
	r.withdraw(a) // granted, and not confirmed
	r.want("a has l with 1", "c has l with 2")
	r.withdraw(a)
	r.withdraw(b)
	r.wantHolder("c")
	if r.waiting != 0 {
		t.Errorf("%d are counted as waiting", r.waiting)
	}
}

func TestAConfirmedLockStaysWhenItsCallEnds(t *testing.T) {
	r := newRig(t, nil)
	a := r.acquire("a", minute)
	if err := r.renew("a"); err != nil {
		t.Fatal(err)
	}
	r.withdraw(a)
	r.wantHolder("a")
}

func TestARepeatWithTheSameClaim(t *testing.T) {
	t.Run("of the holder gets the same token", func(t *testing.T) {
		r := newRig(t, nil)
		first := r.acquire("a", minute)
		r.acquire("a", minute)
		r.want("a has l with 1", "a has l with 1")
		r.withdraw(first) // The repeat is another call: it still may confirm.
		r.wantHolder("a")
	})
	t.Run("keeps the place in line", func(t *testing.T) {
		r := newRig(t, nil)
		r.acquire("a", minute)
		first := r.acquire("b", minute)
		r.acquire("c", minute)
		r.acquire("b", minute)
		r.want("a has l with 1", `b: a later call with the same claim waits for lock "l" now`)
		r.withdraw(first)
		if err := r.release("a"); err != nil {
			t.Fatal(err)
		}
		r.want("b has l with 2")
		if r.waiting != 1 {
			t.Errorf("%d are counted as waiting", r.waiting)
		}
	})
	t.Run("without a claim is another wish", func(t *testing.T) {
		r := newRig(t, nil)
		r.ask(Request{Name: "l", Holder: "a", TTL: time.Second})
		r.ask(Request{Name: "l", Holder: "a", TTL: time.Second})
		r.want("a has l with 1", `a: lock "l" is held by "a", with token 1`)
	})
	t.Run("after a new claim of the partition gets the same token", func(t *testing.T) {
		r := newRig(t, nil)
		r.acquire("a", minute)
		r.claim(nil)
		r.acquire("a", minute)
		r.want("a has l with 1", "a has l with 1")
	})
}

func TestOnlyTheCurrentTokenReleases(t *testing.T) {
	r := newRig(t, nil)
	r.acquire("a", 0)
	r.pass(minute)
	if err := r.release("a"); task.CodeOf(err) != task.CodeStale {
		t.Errorf("a lock that nobody holds: %v", err)
	}
	r.acquire("b", 0)
	if err := r.release("a"); task.CodeOf(err) != task.CodeStale || !strings.Contains(err.Error(), `"b" holds the lock now`) {
		t.Errorf("a lock of another: %v", err)
	}
	r.wantHolder("b")
}

func TestStealingTakesTheLockAndLeavesTheLine(t *testing.T) {
	r := newRig(t, nil)
	r.acquire("a", 0)
	if err := r.renew("a"); err != nil {
		t.Fatal(err)
	}
	r.acquire("b", minute)
	h := r.table.Steal(r.now, Request{Name: "l", Holder: "person", TTL: 5 * time.Second})
	r.settle()
	if h.Token != 2 || h.Confirm != 0 || r.stolen != 1 {
		t.Errorf("stolen as %+v, %d times", h, r.stolen)
	}
	if err := r.renew("a"); task.CodeOf(err) != task.CodeStale {
		t.Errorf("the renewal of the old holder got %v", err)
	}
	r.pass(5*time.Second - 1)
	r.wantHolder("person")
	r.pass(1)
	r.wantHolder("b")
	if got := r.table.Steal(r.now, Request{Name: "free", Holder: "person", TTL: time.Second}); got.Token == 0 || r.stolen != 1 {
		t.Errorf("a free lock: %+v, stolen %d times", got, r.stolen)
	}
}

func TestANewOwnerGivesEachLockItsWholeTTL(t *testing.T) {
	r := newRig(t, nil)
	r.acquire("a", 0)
	if err := r.renew("a"); err != nil {
		t.Fatal(err)
	}
	r.pass(9 * time.Second)
	r.claim(nil)
	r.pass(5 * time.Second) // Nobody asked for the lock until now.
	r.acquire("b", minute)
	r.want("a has l with 1")
	r.pass(5*time.Second - 1)
	r.wantHolder("a")
	if err := r.renew("a"); err != nil {
		t.Fatal(err)
	}
	r.pass(10*time.Second - 1)
	r.wantHolder("a")
	r.pass(1)
	r.want("b has l with 2")
}

func TestARecordThatCannotBeReadExpires(t *testing.T) {
	r := newRig(t, nil)
	r.Put(r.now, "l", []byte("nonsense"))
	r.claim(nil)
	r.acquire("a", time.Second)
	r.pass(time.Second)
	r.want("a has l with 2")
}

func TestTooManyAreRefused(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Waiters, c.Line, c.Held = 2, 3, 2 })
	on := func(name, who string) {
		r.ask(Request{Name: name, Holder: who, TTL: time.Second, Wait: minute})
	}
	on("l", "a")
	on("m", "b")
	on("n", "c")
	for _, who := range []string{"d", "e", "f"} {
		on("l", who)
	}
	on("m", "g")
	on("m", "h")
	r.want("a has l with 1", "b has m with 2", "c: 2 locks of this lock's partition are held, more are not allowed: release some",
		`f: 2 callers wait for lock "l", more are not allowed: try again later`,
		"h: 3 callers wait for locks of this lock's partition, more are not allowed: try again later")
}

func TestListingGoesByName(t *testing.T) {
	r := newRig(t, nil)
	for _, name := range []string{"b/2", "a/1", "b/1", "c", "b/3"} {
		r.ask(Request{Name: name, Holder: "x", TTL: time.Second})
	}
	names := func(prefix, after string, limit int) []string {
		var names []string
		for _, v := range r.table.List(r.now, prefix, after, limit) {
			names = append(names, v.Name)
		}
		return names
	}
	for _, c := range []struct {
		got  []string
		want string
	}{
		{names("", "", 10), "[a/1 b/1 b/2 b/3 c]"},
		{names("b/", "", 2), "[b/1 b/2]"},
		{names("b/", "b/2", 2), "[b/3]"},
		{names("d", "", 2), "[]"},
	} {
		if got := fmt.Sprint(c.got); got != c.want {
			t.Errorf("listed %s, want %s", got, c.want)
		}
	}
}

func TestAnAbandonedTableCountsAsNothing(t *testing.T) {
	r := newRig(t, nil)
	r.acquire("a", minute)
	r.acquire("b", minute)
	r.ask(Request{Name: "m", Holder: "a", TTL: time.Second})
	r.table.Abandon()
	if r.held != 0 || r.waiting != 0 {
		t.Errorf("%d held, %d waiting", r.held, r.waiting)
	}
}

func TestTimersOfThoseThatAreGoneAreGone(t *testing.T) {
	r := newRig(t, nil)
	r.acquire("a", 0)
	for range 1000 {
		r.withdraw(r.acquire("b", MaxWait))
		if err := r.renew("a"); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(r.table.alarms); n != 1 {
		t.Errorf("%d alarms are kept for one lock", n)
	}
}

func TestBadRequestsAreRefused(t *testing.T) {
	good := Request{Name: "l", Holder: "h", TTL: MinTTL}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*Request){
		"name":   func(r *Request) { r.Name = "" },
		"name ":  func(r *Request) { r.Name = strings.Repeat("n", task.MaxKey+1) },
		"holder": func(r *Request) { r.Holder = strings.Repeat("h", MaxHolder+1) },
		"claim":  func(r *Request) { r.Claim = strings.Repeat("c", MaxClaim+1) },
		"ttl":    func(r *Request) { r.TTL = MinTTL - 1 },
		"ttl ":   func(r *Request) { r.TTL = MaxTTL + 1 },
		"wait":   func(r *Request) { r.Wait = -1 },
		"wait ":  func(r *Request) { r.Wait = MaxWait + 1 },
	} {
		bad := good
		change(&bad)
		err := bad.Validate()
		e, ok := errors.AsType[*task.Error](err)
		if !ok || e.Code != task.CodeInvalidArgument || e.Field != strings.TrimSpace(field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

func TestWaitingTimesAreMeasured(t *testing.T) {
	r := newRig(t, nil)
	r.acquire("a", 0)
	r.pass(time.Second)
	r.acquire("b", minute)
	r.pass(2 * time.Second)
	r.acquire("b", minute)
	if err := r.release("a"); err != nil {
		t.Fatal(err)
	}
	if want := []time.Duration{0, 2 * time.Second}; !slices.Equal(r.waits, want) {
		t.Errorf("waits %v, want %v", r.waits, want)
	}
}

func TestTimeThatIsSkippedCountsForNobody(t *testing.T) {
	r := newRig(t, nil)
	r.acquire("a", minute)
	if err := r.renew("a"); err != nil {
		t.Fatal(err)
	}
	r.acquire("b", 5*time.Second)
	r.pass(4 * time.Second)
	r.said = nil
	jump := func() {
		r.now = r.now.Add(time.Hour)
		r.table.Skip(time.Hour)
	}
	jump()
	r.pass(0)
	r.want()
	r.wantHolder("a")
	r.pass(2 * time.Second)
	if len(r.said) != 1 || !strings.HasPrefix(r.said[0], "b: ") {
		t.Errorf("who waits for 5 s was answered %q after 6", r.said)
	}
	jump()
	r.pass(3 * time.Second)
	r.wantHolder("a")
	r.pass(2 * time.Second)
	r.wantHolder("")
	// What was held before a claim has its TTL from then on, without what is skipped.
	r.acquire("c", 0)
	r.claim(nil)
	jump()
	r.known("l")
	r.pass(9 * time.Second)
	r.wantHolder("c")
	r.pass(2 * time.Second)
	r.wantHolder("")
}
