package task

import "testing"

func TestACounterIsWhatItsStoredFormSays(t *testing.T) {
	for _, c := range []Counter{{Value: 5, Max: MaxCounter}, {Value: -3, Min: -10, Max: -1}, {Min: -MaxCounter, Max: MaxCounter}, {}} {
		if got, err := ParseCounter(c.Append(nil)); err != nil || got != c {
			t.Errorf("%s: got %+v, %v", c.Append(nil), got, err)
		}
	}
}

func TestWhatIsNoCounterIsRefused(t *testing.T) {
	for _, text := range []string{
		``, `5`, `{}`, `{"value":1}`, `{"min":0}`, `{"value":1,"min":0}{}`, `{"value":1,"min":0,"more":1}`, `{"value":1.5,"min":0}`,
		`{"value":1,"min":2}`, `{"value":3,"min":0,"max":2}`, `{"value":0,"min":1,"max":-1}`, `{"value":9007199254740992,"min":0}`, `{"value":0,"min":-9007199254740992}`,
	} {
		if c, err := ParseCounter([]byte(text)); CodeOf(err) != CodeInvalidArgument {
			t.Errorf("%s: got %+v, %v", text, c, err)
		}
	}
	for delta, fine := range map[int64]bool{0: false, 1: true, -MaxCounter: true, MaxCounter + 1: false, -1 << 63: false} {
		if err := CheckDelta(delta); (err == nil) != fine {
			t.Errorf("%d: %v", delta, err)
		}
	}
}
