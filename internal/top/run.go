package top

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gdamore/tcell/v3"
)

// Source is the node as the loop needs it. Its methods may be called concurrently.
type Source interface {
	// Snapshot asks for everything that is shown.
	Snapshot(ctx context.Context) (Snapshot, error)
	// Drain asks a worker to finish what it has and to leave.
	Drain(ctx context.Context, worker string) error
	// SetQuiet keeps a worker from getting anything new, or ends that.
	SetQuiet(ctx context.Context, worker string, quiet bool) error
}

// Config is what Run needs.
type Config struct {
	Source   Source
	Addr     string        // of the node, as it is shown
	Interval time.Duration // between refreshes; default 1 s, at least 100 ms
	Timeout  time.Duration // of one answer; default 5 s
	NoColour bool

	tty tcell.Tty // default: the terminal of the process
}

// shortestInterval keeps a view from being a load.
const shortestInterval = 100 * time.Millisecond

func (cfg Config) withDefaults() (Config, error) {
	if cfg.Source == nil {
		return cfg, errors.New("show a node: a source is needed")
	}
	if cfg.Interval == 0 {
		cfg.Interval = time.Second
	}
	if cfg.Interval < shortestInterval {
		return cfg, fmt.Errorf("show a node: the interval is %v: want %v or more", cfg.Interval, shortestInterval)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	return cfg, nil
}

// Run shows a node in the terminal until the person quits, which is no error, ctx
// ends, or the terminal is gone. The terminal is then as it was before.
func Run(ctx context.Context, cfg Config) (err error) {
	cfg, err = cfg.withDefaults()
	if err != nil {
		return err
	}
	var options []tcell.TerminfoScreenOption
	if cfg.NoColour {
		options = append(options, tcell.OptColors(0))
	}
	// A terminal in an encoding that nobody knows any more gets ASCII.
	tcell.SetEncodingFallback(tcell.EncodingFallbackASCII)
	screen, err := tcell.NewTerminfoScreenFromTty(cfg.tty, options...)
	if err != nil {
		return fmt.Errorf("open terminal: %w", err)
	}
	if err := screen.Init(); err != nil {
		return fmt.Errorf("open terminal: %w", err)
	}
	// Also after a panic: a terminal in raw mode would hide its message.
	defer screen.Fini()
	for part, whole := range fallbacks() {
		screen.RegisterRuneFallback(part, whole)
	}
	l := &loop{
		cfg: cfg, screen: screen, model: NewModel(cfg.Addr), events: make(chan event),
		palette: palette{colours: !cfg.NoColour && screen.Colors() > 0},
	}
	return l.run(ctx)
}

// fallbacks are for terminals that show nothing but ASCII.
func fallbacks() map[rune]string {
	all := map[rune]string{'…': ".", 'µ': "u", '▲': "^", '▼': "v", '↑': "^", '↓': "v", '█': "#", '░': "."}
	for i, r := range []rune("▏▎▍▌▋▊▉") {
		all[r] = "."
		if i > 2 {
			all[r] = "#"
		}
	}
	return all
}

// loop owns the goroutines that ask the source.
type loop struct {
	cfg     Config
	screen  tcell.Screen
	model   *Model
	palette palette
	events  chan event // what the goroutines found
	group   sync.WaitGroup
	asking  bool // for a snapshot
}

// event changes the model in the loop's goroutine.
type event func(m *Model)

func (l *loop) run(ctx context.Context) error {
	asks, stop := context.WithCancel(ctx)
	defer l.group.Wait()
	defer stop()
	ticker := time.NewTicker(l.cfg.Interval)
	defer ticker.Stop()
	l.model.Tick(time.Now())
	l.refresh(asks)
	for {
		l.model.Resize(l.screen.Size())
		paint(l.screen, l.model.View(), l.palette)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case now := <-ticker.C:
			l.model.Tick(now)
			if !l.model.Paused() {
				l.refresh(asks)
			}
		case change := <-l.events:
			change(l.model)
		case ev, open := <-l.screen.EventQ():
			if !open {
				return errors.New("show a node: the terminal is gone")
			}
			if done, err := l.handle(asks, ev); done {
				return err
			}
		}
	}
}

// handle takes what the terminal says; done ends the loop.
func (l *loop) handle(ctx context.Context, ev tcell.Event) (done bool, err error) {
	switch ev := ev.(type) {
	case *tcell.EventResize:
		l.screen.Sync()
	case *tcell.EventError:
		return true, fmt.Errorf("read terminal: %w", ev)
	case *tcell.EventKey:
		if k, ok := keyOf(ev); ok {
			return l.obey(ctx, l.model.Press(k)), nil
		}
	}
	return false, nil
}

// obey carries out a command, and reports whether that is the end.
func (l *loop) obey(ctx context.Context, c Command) (quit bool) {
	switch c.Kind {
	case CommandQuit:
		return true
	case CommandRefresh:
		l.refresh(ctx)
	case CommandDrain:
		l.command(ctx, c, func(ctx context.Context) error { return l.cfg.Source.Drain(ctx, c.Worker) })
	case CommandQuiet, CommandResume:
		l.command(ctx, c, func(ctx context.Context) error {
			return l.cfg.Source.SetQuiet(ctx, c.Worker, c.Kind == CommandQuiet)
		})
	case CommandNone:
	}
	return false
}

// refresh asks for a snapshot, unless the answer to an earlier question is due.
func (l *loop) refresh(ctx context.Context) {
	if l.asking {
		return
	}
	l.asking = true
	l.ask(ctx, func(ctx context.Context) event {
		s, err := l.cfg.Source.Snapshot(ctx)
		return func(m *Model) {
			l.asking = false
			switch {
			case err != nil:
				m.Failed(time.Now(), err)
			case !m.Paused():
				m.Update(s)
			}
		}
	})
}

func (l *loop) command(ctx context.Context, c Command, do func(context.Context) error) {
	l.ask(ctx, func(limited context.Context) event {
		err := do(limited)
		return func(m *Model) {
			m.Done(c, err)
			l.refresh(ctx)
		}
	})
}

// ask runs a question in a goroutine of its own and hands in what it found. A
// panic goes on in the loop's goroutine, which gives the terminal back.
func (l *loop) ask(ctx context.Context, question func(context.Context) event) {
	l.group.Go(func() {
		limited, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
		defer cancel()
		found := caught(limited, question)
		select {
		case l.events <- found:
		case <-ctx.Done():
		}
	})
}

func caught(ctx context.Context, question func(context.Context) event) (found event) {
	defer func() {
		if reason := recover(); reason != nil {
			stack := debug.Stack()
			found = func(*Model) { panic(fmt.Sprintf("%v\n\n%s", reason, stack)) }
		}
	}()
	return question(ctx)
}
