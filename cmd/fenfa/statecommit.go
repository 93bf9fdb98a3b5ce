package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

// maxCommitFile bounds what `state commit` reads: the node takes less.
const maxCommitFile = 8 << 20

func newStateCommit() *cobra.Command {
	cmd := &cobra.Command{
		Use: "commit [JSON]", Short: "Change records of any keys, wholly or not at all",
		Long: "Change records of any keys, wholly or not at all, and only if all of them are at the\n" +
			"version that is named: 0 says that there is none. The commit is a JSON object:\n\n" +
			"  {\"id\": \"...\",                                               optional, a UUID\n" +
			"   \"reads\": [{\"key\": \"a\", \"name\": \"n\", \"version\": 3}],       must not have changed\n" +
			"   \"writes\": [{\"key\": \"b\", \"name\": \"n\", \"version\": 7, \"value\": {\"any\": \"JSON\"}},\n" +
			"              {\"key\": \"c\", \"name\": \"n\", \"version\": 2, \"delete\": true},\n" +
			"              {\"key\": \"d\", \"name\": \"n\", \"add\": -1}],               a counter, whatever its version is\n" +
			"   \"fences\": [{\"lock\": \"l\", \"token\": 1042}]}                  the lock's token, like --fence l:1042\n\n" +
			"A commit with the id of one that took effect in the last 24 hours does nothing, and is\n" +
			"answered as that one. On a conflict nothing is changed, and the exit code is that of a refusal.",
		Example: "  fenfa state commit '{\"writes\":[{\"key\":\"alice\",\"name\":\"balance\",\"version\":4,\"value\":90},\n" +
			"    {\"key\":\"bob\",\"name\":\"balance\",\"version\":9,\"value\":110}]}'\n  fenfa state commit --file transfer.json --fence account-7:1042",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return exactly("JSON")(cmd, args)
		},
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	fences := cmd.Flags().StringArray("fence", nil, "commit only while LOCK:TOKEN is the token of the lock; may be repeated; see docs/locks.md")
	file := cmd.Flags().String("file", "", "read the commit from a file, - for standard input")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		text, err := commitText(cmd, args, *file)
		if err != nil {
			return err
		}
		commit, err := parseCommit(text)
		if err != nil {
			return err
		}
		if err := commit.fence(*fences); err != nil {
			return err
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			done, err := commit.build(c.State()).Do(ctx)
			if err != nil {
				return hinted(err, "nothing was changed: read the records again with `fenfa state get`, and decide anew", fenfa.CodeConflict)
			}
			view := struct {
				Transaction string `json:"transaction,omitempty"`
				Duplicate   bool   `json:"duplicate"`
			}{idText(done.Transaction), done.Duplicate}
			return out.write(cmd, view, func(w io.Writer) {
				switch {
				case done.Duplicate:
					fmt.Fprintln(w, "committed before")
				case view.Transaction != "":
					fmt.Fprintf(w, "committed by transaction %s\n", view.Transaction)
				default:
					fmt.Fprintln(w, "committed")
				}
			})
		})
	}
	return cmd
}

// commitText returns the commit that was given as an argument or a file.
func commitText(cmd *cobra.Command, args []string, file string) ([]byte, error) {
	switch {
	case (len(args) == 1) == (file != ""):
		return nil, usagef("say what to commit").withHint("give JSON, or --file F, or --file - for standard input")
	case len(args) == 1:
		return []byte(args[0]), nil
	}
	in, closeFile, err := openInput(cmd, file)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(in, maxCommitFile+1))
	if err = errors.Join(err, closeFile()); err != nil {
		return nil, failuref(exitRefused, "read commit: %w", err)
	}
	if len(text) > maxCommitFile {
		return nil, usagef("the commit has more than %d bytes", maxCommitFile)
	}
	return text, nil
}

// commitInput is a commit as a person writes it.
type commitInput struct {
	ID    string `json:"id"`
	Reads []struct {
		Key     string `json:"key"`
		Name    string `json:"name"`
		Version uint64 `json:"version"`
	} `json:"reads"`
	Writes []struct {
		Key     string          `json:"key"`
		Name    string          `json:"name"`
		Version uint64          `json:"version"`
		Value   json.RawMessage `json:"value"`
		Delete  bool            `json:"delete"`
		Add     *int64          `json:"add"`
	} `json:"writes"`
	Fences []fenceInput `json:"fences"`
	id     fenfa.ID
}

// fenceInput is a lock's token that a commit depends on.
type fenceInput struct {
	Lock  string `json:"lock"`
	Token uint64 `json:"token"`
}

// fence adds the values of --fence.
func (c *commitInput) fence(flags []string) error {
	for _, text := range flags {
		lock, token, err := parseFence(text)
		if err != nil {
			return err
		}
		c.Fences = append(c.Fences, fenceInput{lock, token})
	}
	return nil
}

func parseCommit(text []byte) (*commitInput, error) {
	var c commitInput
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return nil, usagef("read the commit: %w", err).withHint("`fenfa state commit --help` shows its form")
	}
	if d.More() {
		return nil, usagef("there is more than one JSON object")
	}
	for i, w := range c.Writes {
		given := 0
		for _, is := range []bool{w.Delete, w.Value != nil, w.Add != nil} {
			if is {
				given++
			}
		}
		if given != 1 {
			return nil, usagef("write %d, of record %q of key %q: give a value, or \"delete\": true, or \"add\"", i, w.Name, w.Key)
		}
		if w.Add != nil && w.Version != 0 {
			return nil, usagef("write %d, of record %q of key %q: \"add\" expects no version", i, w.Name, w.Key)
		}
	}
	if c.ID == "" {
		return &c, nil
	}
	var err error
	if c.id, err = fenfa.ParseID(c.ID); err != nil {
		return nil, usagef("the id: %w", err)
	}
	return &c, nil
}

func (c *commitInput) build(s *fenfa.State) *fenfa.Commit {
	commit := s.NewCommit()
	if !c.id.IsZero() {
		commit.WithID(c.id)
	}
	for _, f := range c.Fences {
		commit.Fence(f.Lock, f.Token)
	}
	for _, r := range c.Reads {
		commit.Read(r.Key, r.Name, r.Version)
	}
	for _, w := range c.Writes {
		switch {
		case w.Add != nil:
			commit.Add(w.Key, w.Name, *w.Add)
		case w.Delete:
			commit.Delete(w.Key, w.Name, w.Version)
		default:
			commit.Put(w.Key, w.Name, []byte(w.Value), w.Version)
		}
	}
	return commit
}
