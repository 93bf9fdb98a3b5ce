package mysql

import (
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// tryJSON is an attempt as it stands in a column. What is not text is given in
// base64 instead, as JSON has no bytes.
type tryJSON struct {
	Time        string `json:"time"` // for people; At is what counts
	At          uint64 `json:"at,string"`
	TookMicros  int64  `json:"took_us,omitempty"`
	Worker      string `json:"worker,omitempty"`
	WorkerBytes []byte `json:"worker_bytes,omitempty"`
	Error       string `json:"error,omitempty"`
	ErrorBytes  []byte `json:"error_bytes,omitempty"`
}

// encodeTries returns the value of a column, nil for no attempts.
func encodeTries(tries []store.Try) any {
	if len(tries) == 0 {
		return nil
	}
	list := make([]tryJSON, len(tries))
	for i, t := range tries {
		j := &list[i]
		j.Time, j.At = t.At.Time().Format("2006-01-02T15:04:05.000000Z"), uint64(t.At)
		j.TookMicros = max(t.Took, 0).Microseconds()
		j.Worker, j.WorkerBytes = splitText(t.Worker)
		j.Error, j.ErrorBytes = splitText(t.Error)
	}
	b, err := json.Marshal(list)
	if err != nil {
		return err // The driver refuses a value of this type, with its text.
	}
	return b
}

func splitText(s string) (string, []byte) {
	if utf8.ValidString(s) {
		return s, nil
	}
	return "", []byte(s)
}

func decodeTries(raw []byte) ([]store.Try, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var list []tryJSON
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, err
	}
	tries := make([]store.Try, len(list))
	for i, j := range list {
		tries[i] = store.Try{At: task.Timestamp(j.At), Took: time.Duration(j.TookMicros) * time.Microsecond, Worker: j.Worker + string(j.WorkerBytes), Error: j.Error + string(j.ErrorBytes)}
	}
	return tries, nil
}
