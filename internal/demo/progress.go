package demo

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// How often the display refreshes.
const (
	terminalEvery = 100 * time.Millisecond
	plainEvery    = 2 * time.Second
)

// snapshot is what the display shows at one moment.
type snapshot struct {
	phase     string
	total     int64
	confirmed int64
	worked    int64 // handlers that returned
	perSecond float64
	submitP50 time.Duration
	submitP99 time.Duration
	running   int // workers
	workers   int // workers that there ever were
	elapsed   time.Duration
	news      []string
}

// backlog is what was confirmed and not worked on yet.
func (s *snapshot) backlog() int64 { return max(0, s.confirmed-s.worked) }

// display writes snapshots until its context ends.
type display struct {
	out      io.Writer
	terminal bool
	width    int // of the terminal; a line that wraps could not be redrawn
	take     func() snapshot

	drawn int // lines of the block on the terminal
	told  int // news that were written
	last  snapshot
}

// run shows the progress until ctx ends, and then once more.
func (d *display) run(ctx context.Context) {
	every := plainEvery
	if d.terminal {
		every = terminalEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			d.show()
		case <-ctx.Done():
			d.show()
			return
		}
	}
}

// show takes a snapshot and writes it.
func (d *display) show() {
	s := d.take()
	s.perSecond = rate(d.last, s)
	d.last = s
	var text strings.Builder
	if d.drawn > 0 {
		fmt.Fprintf(&text, "\x1b[%dA\x1b[J", d.drawn)
	}
	for ; d.told < len(s.news); d.told++ {
		fmt.Fprintf(&text, "  * %s\n", s.news[d.told])
	}
	if d.terminal {
		lines := block(&s)
		for i := range lines {
			if d.width > 0 {
				lines[i] = lines[i][:min(len(lines[i]), d.width-1)]
			}
		}
		d.drawn = len(lines)
		text.WriteString(strings.Join(lines, "\n") + "\n")
	} else {
		text.WriteString(plain(&s) + "\n")
	}
	_, _ = io.WriteString(d.out, text.String())
}

// rate is the orders worked on a second since the snapshot before.
func rate(before, now snapshot) float64 {
	passed := (now.elapsed - before.elapsed).Seconds()
	if passed <= 0 {
		return now.perSecond
	}
	return max(0, float64(now.worked-before.worked)/passed)
}

// block is the display on a terminal.
func block(s *snapshot) []string {
	const width = 40
	filled := 0
	if s.total > 0 {
		filled = int(min(s.worked, s.total) * width / s.total)
	}
	return []string{
		fmt.Sprintf("  [%s%s] %d of %d orders, %s", strings.Repeat("#", filled), strings.Repeat(".", width-filled), min(s.worked, s.total), s.total, s.phase),
		fmt.Sprintf("  rate %.0f/s   backlog %d   submit p50 %s p99 %s   workers %d   %.1f s",
			s.perSecond, s.backlog(), millis(s.submitP50), millis(s.submitP99), s.running, s.elapsed.Seconds()),
	}
}

// plain is one line of the display elsewhere.
func plain(s *snapshot) string {
	return fmt.Sprintf("%5.1f s  %s: %d of %d orders, %.0f/s, backlog %d, submit p50 %s p99 %s, workers %d",
		s.elapsed.Seconds(), s.phase, min(s.worked, s.total), s.total, s.perSecond, s.backlog(), millis(s.submitP50), millis(s.submitP99), s.running)
}

func millis(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1000) }
