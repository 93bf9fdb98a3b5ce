package workers

import (
	"time"

	"github.com/fenfa/fenfa/tests/harness"
)

// process is a crew at work.
type process struct {
	*harness.Process
	crew    crew
	journal journalReader
	outages []outage
}

// Kill ends the process at once and waits until it is gone.
func (p *process) Kill() {
	p.suffer()
	p.Process.Kill()
}

// Freeze stops the process where it is, and Thaw lets it go on.
func (p *process) Freeze() {
	p.suffer()
	p.Process.Freeze()
}

// Thaw lets the process go on that Freeze stopped.
func (p *process) Thaw() {
	p.Process.Thaw()
	now := time.Now()
	for i := range p.crew.Workers {
		p.outages[len(p.outages)-1-i].to = now
	}
}

// suffer notes that an outage of the process begins.
func (p *process) suffer() {
	now := time.Now()
	for _, name := range p.crew.Workers {
		p.outages = append(p.outages, outage{worker: name, from: now})
	}
}
