package fenfa

import (
	"math/rand/v2"
	"reflect"
	"testing"
)

func TestAPositionComesBackFromItsText(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		want := PositionAt(map[int]uint64{})
		for range 1 + rng.IntN(20) {
			at := place{seq: rng.Uint64() >> rng.IntN(64), reading: rng.IntN(3) == 0}
			if at.reading {
				at.key, at.name = []string{"", "a", "a,b:+.\x00", "订单"}[rng.IntN(4)], []string{"", "n\xff"}[rng.IntN(2)]
			}
			want.parts[rng.IntN(4096)] = at
		}
		got, err := ParsePosition(want.String())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: got %+v, %v", want, got, err)
		}
	}
	if p, err := ParsePosition(""); err != nil || !p.IsZero() || p.String() != "" {
		t.Errorf("the empty text is %+v, %v", p, err)
	}
	if seq, ok := PositionAt(map[int]uint64{3: 7}).Seq(3); seq != 7 || !ok {
		t.Errorf("got %d, %v", seq, ok)
	}
}

func TestATextThatIsNoPositionIsRefused(t *testing.T) {
	for _, text := range []string{",", "0", "0:", ":1", "0:1,", "0:1,0:2", "-1:2", "0:-2", "0:1 ", "70000:1", "0:1+!", "0:1+YQ.!", "a:1"} {
		if p, err := ParsePosition(text); CodeOf(err) != CodeInvalidArgument {
			t.Errorf("%q is %+v, %v", text, p, err)
		}
	}
}

func FuzzParsePosition(f *testing.F) {
	for _, text := range []string{"", "0:153,1:22", "2:7+YQ.Yg", "0:1+"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePosition(text)
		if err != nil {
			return
		}
		if again, err := ParsePosition(p.String()); err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("%q is %s, which is %+v, %v", text, p, again, err)
		}
	})
}
