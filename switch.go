package fenfa

// Switch is a setting that is on or off. In a change, the empty one means "as it is".
type Switch string

// The values of a Switch.
const (
	SwitchOn  Switch = "on"
	SwitchOff Switch = "off"
)

// toWire leaves what is to stay as it is unset.
func (s Switch) toWire() *bool {
	if s == "" {
		return nil
	}
	return new(s == SwitchOn)
}

func switchOf(on bool) Switch {
	if on {
		return SwitchOn
	}
	return SwitchOff
}
