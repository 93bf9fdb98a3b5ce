package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/fenfa/fenfa"
)

// cronView is a schedule in JSON.
type cronView struct {
	Name    string            `json:"name"`
	Spec    string            `json:"spec"`
	Zone    string            `json:"zone"`
	Queue   string            `json:"queue"`
	Key     string            `json:"key,omitempty"`
	Type    string            `json:"type,omitempty"`
	Payload string            `json:"payload,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Overlap string            `json:"overlap"`
	Missed  string            `json:"missed"`
	Paused  bool              `json:"paused"`
	NextAt  string            `json:"next_at,omitempty"`
	LastAt  string            `json:"last_at,omitempty"`
	Fired   uint64            `json:"fired_ticks"`
	Skipped uint64            `json:"skipped_ticks"`
	Lost    uint64            `json:"missed_ticks"`
	Runs    []cronRunView     `json:"runs,omitempty"`
	Queued  []string          `json:"queued,omitempty"`
	Problem string            `json:"problem,omitempty"`
}

type cronRunView struct {
	TickAt  string `json:"tick_at"`
	TaskID  string `json:"task_id"`
	Manual  bool   `json:"manual,omitempty"`
	State   string `json:"state,omitempty"`
	EndedAt string `json:"ended_at,omitempty"`
	Error   string `json:"error,omitempty"`
}

func viewCron(s *fenfa.Cron) cronView {
	v := cronView{
		Name: s.Name, Spec: s.Spec, Zone: s.Zone, Queue: s.Queue, Key: s.Key, Type: s.Type, Payload: string(s.Payload), Headers: s.Headers,
		Overlap: string(s.Overlap), Missed: string(s.Missed), Paused: s.Paused, NextAt: timeView(s.NextAt), LastAt: timeView(s.LastAt),
		Fired: s.FiredTicks, Skipped: s.SkippedTicks, Lost: s.MissedTicks, Problem: s.Problem,
	}
	for i := range s.Runs {
		r := &s.Runs[i]
		v.Runs = append(v.Runs, cronRunView{timeView(r.TickAt), r.TaskID.String(), r.Manual, string(r.State), timeView(r.EndedAt), r.Error})
	}
	for _, at := range s.Queued {
		v.Queued = append(v.Queued, timeView(at))
	}
	return v
}

// showCron writes a schedule for a person.
func showCron(w io.Writer, s *fenfa.Cron) {
	last := ""
	if !s.LastAt.IsZero() {
		last = zoned(s, s.LastAt)
	}
	pairs(w, [][2]string{
		{"schedule", s.Name},
		{"spec", s.Spec + " in " + s.Zone},
		{"queue", s.Queue},
		{"key", s.Key},
		{"type", s.Type},
		{"payload", clip(s.Payload, 200)},
		{"overlap", string(s.Overlap)},
		{"missed", string(s.Missed)},
		{"next", nextText(s)},
		{"last", last},
		{"ticks", fmt.Sprintf("%d fired, %d skipped, %d missed, %d queued", s.FiredTicks, s.SkippedTicks, s.MissedTicks, len(s.Queued))},
		{"problem", s.Problem},
	})
	if len(s.Runs) == 0 {
		return
	}
	rows := [][]string{{"TICK", "TASK", "STATE", "ENDED", "BY HAND", "ERROR"}}
	for i := range s.Runs {
		r := &s.Runs[i]
		state := string(r.State)
		if state == "" {
			state = "open"
		}
		rows = append(rows, []string{zoned(s, r.TickAt), r.TaskID.String(), state, moment(r.EndedAt), strconv.FormatBool(r.Manual), r.Error})
	}
	table(w, rows)
}

// readCrons reads schedules from YAML, one a document.
func readCrons(name string, content []byte) (all []fenfa.CronDefinition, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	for {
		var d struct {
			Name, Spec, Zone, Queue, Key, Type, Payload, Overlap, Missed string
			Headers                                                      map[string]string
		}
		if err := decoder.Decode(&d); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if d.Name == "" || d.Spec == "" || d.Queue == "" {
			return nil, fmt.Errorf("%s: document %d: a schedule needs name, spec and queue", name, len(all)+1)
		}
		if _, err := time.LoadLocation(d.Zone); err != nil {
			return nil, fmt.Errorf("%s: schedule %s: zone %q is not known", name, d.Name, d.Zone)
		}
		all = append(all, fenfa.CronDefinition{
			Name: d.Name, Spec: d.Spec, Zone: d.Zone, Queue: d.Queue, Key: d.Key, Type: d.Type, Payload: []byte(d.Payload), Headers: d.Headers,
			Overlap: fenfa.CronOverlap(d.Overlap), Missed: fenfa.CronMissed(d.Missed),
		})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: there is no schedule in it", name)
	}
	return all, nil
}
