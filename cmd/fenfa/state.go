package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

func newState() *cobra.Command {
	return group("state", "Look at the records that tasks keep, and change them",
		"A record is a named value of a key, with a version that grows with every write.",
		newStateGet(), newStateScan(), newStatePut(), newStateCommit(), newStateEscrow(), newStateHistory(), newStateWatch(), newStateAudit(),
		newStateShards(), newStateMove())
}

func newStateGet() *cobra.Command {
	cmd := &cobra.Command{Use: "get KEY NAME", Short: "Show one record", Args: exactly("KEY", "NAME")}
	to, out := targetFlags(cmd), outputFlags(cmd)
	raw := cmd.Flags().Bool("raw", false, "write the value alone, as it is stored")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			r, err := c.State().Get(ctx, args[0], args[1])
			if err != nil {
				return hinted(err, "`fenfa state scan` shows the records that there are", fenfa.CodeNotFound)
			}
			if *raw {
				if _, err := cmd.OutOrStdout().Write(r.Value); err != nil {
					return fmt.Errorf("write value: %w", err)
				}
				return nil
			}
			return out.write(cmd, viewRecord(&r), func(w io.Writer) {
				rows := [][2]string{
					{"key", r.Key},
					{"name", r.Name},
					{"version", strconv.FormatUint(r.Version, 10)},
					{"updated", moment(r.UpdatedAt)},
					{"task", idText(r.TaskID)},
					{"value", clip(r.Value, 4000)},
				}
				if r.Escrow {
					rows = append(rows, [2]string{"reserved", fmt.Sprintf("%+d %+d", r.ReservedLow, r.ReservedHigh)})
				}
				pairs(w, rows)
			})
		})
	}
	return cmd
}

func newStateScan() *cobra.Command {
	cmd := &cobra.Command{
		Use: "scan [PREFIX]", Short: "List records whose key begins with a prefix",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return exactly("PREFIX")(cmd, args)
		},
	}
	to, out, part := targetFlags(cmd), outputFlags(cmd), pageFlags(cmd)
	name := cmd.Flags().String("name", "", "only records of this name")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := part.check(); err != nil {
			return err
		}
		prefix := ""
		if len(args) > 0 {
			prefix = args[0]
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			records, next, err := c.State().Scan(ctx, prefix, fenfa.ScanOptions{Name: *name, Page: fenfa.Page{Size: part.limit, Token: part.token}})
			if err != nil {
				return err
			}
			view := struct {
				Records []recordView `json:"records"`
				Next    string       `json:"next,omitempty"`
			}{Records: make([]recordView, len(records)), Next: next}
			rows := [][]string{{"KEY", "NAME", "VERSION", "UPDATED", "VALUE"}}
			for i := range records {
				r := &records[i]
				view.Records[i] = viewRecord(r)
				rows = append(rows, []string{clip([]byte(r.Key), 60), r.Name, strconv.FormatUint(r.Version, 10), moment(r.UpdatedAt), clip(r.Value, 80)})
			}
			return out.write(cmd, view, func(w io.Writer) { table(w, rows); more(w, next) })
		})
	}
	return cmd
}

func newStatePut() *cobra.Command {
	cmd := &cobra.Command{
		Use: "put KEY NAME [VALUE]", Short: "Write a record, if its version is the expected one",
		Long: "Write a record, if its version is the expected one. One of --new, --version, --any says\n" +
			"which version that is. Without VALUE the value is read from --file.",
		Example: "  fenfa state put SKU-1 stock '{\"available\":100}' --new\n  fenfa state put SKU-1 stock '{\"available\":90}' --version 17",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				return nil
			}
			return exactly("KEY", "NAME", "VALUE")(cmd, args)
		},
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	var put putFlags
	f := cmd.Flags()
	f.BoolVar(&put.fresh, "new", false, "the record must not exist")
	f.Uint64Var(&put.version, "version", 0, "the version that the record must have")
	f.BoolVar(&put.anyVersion, "any", false, "write whatever the version is")
	f.BoolVar(&put.remove, "delete", false, "delete the record; needs --version")
	f.StringVar(&put.fence, "fence", "", "write only while LOCK:TOKEN is the token of the lock; see docs/locks.md")
	f.StringVar(&put.file, "file", "", "read the value from a file, - for standard input")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		value, err := put.value(cmd, args)
		if err != nil {
			return err
		}
		lock, token, err := put.fencing()
		if err != nil {
			return err
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			state := c.State()
			if lock != "" {
				state = state.Fenced(lock, token)
			}
			version, err := put.write(ctx, state, args[0], args[1], value)
			if err != nil {
				return hinted(err, fmt.Sprintf("read it again with `fenfa state get %s %s`, and decide anew", args[0], args[1]), fenfa.CodeConflict)
			}
			view := recordView{Key: args[0], Name: args[1], Version: version}
			return out.write(cmd, view, func(w io.Writer) {
				if put.remove {
					fmt.Fprintln(w, "deleted")
					return
				}
				fmt.Fprintf(w, "version %d\n", version)
			})
		})
	}
	return cmd
}

// putFlags says what `state put` writes.
type putFlags struct {
	fresh, anyVersion, remove bool
	version                   uint64
	file                      string
	fence                     string
}

// fencing reads --fence. A lock's name may have colons, its token has none.
func (p *putFlags) fencing() (lock string, token uint64, err error) {
	if p.fence == "" {
		return "", 0, nil
	}
	return parseFence(p.fence)
}

// parseFence reads LOCK:TOKEN.
func parseFence(text string) (lock string, token uint64, err error) {
	at := strings.LastIndexByte(text, ':')
	if at > 0 {
		token, err = strconv.ParseUint(text[at+1:], 10, 64)
	}
	if at < 1 || err != nil || token == 0 {
		return "", 0, usagef("--fence is %q: want LOCK:TOKEN, like account-7:1042", text).withHint("`fenfa lock acquire` gives its command the token in FENFA_LOCK_TOKEN")
	}
	return text[:at], token, nil
}

// value checks the flags and returns the value to write.
func (p *putFlags) value(cmd *cobra.Command, args []string) ([]byte, error) {
	chosen := 0
	for _, set := range []bool{p.fresh, p.version > 0, p.anyVersion} {
		if set {
			chosen++
		}
	}
	switch {
	case chosen != 1:
		return nil, usagef("say which version is expected").withHint("one of --new, --version N, --any")
	case p.remove && p.version == 0:
		return nil, usagef("--delete needs --version")
	case p.remove && (len(args) == 3 || p.file != ""):
		return nil, usagef("--delete takes no value")
	case p.remove:
		return nil, nil
	case (len(args) == 3) == (p.file != ""):
		return nil, usagef("say the value").withHint("give VALUE, or --file F, or --file - for standard input")
	case len(args) == 3:
		return []byte(args[2]), nil
	}
	in, closeFile, err := openInput(cmd, p.file)
	if err != nil {
		return nil, err
	}
	const most = 256<<10 + 1 // one more than a record may have, so that the node says so
	value, err := io.ReadAll(io.LimitReader(in, most))
	if err = errors.Join(err, closeFile()); err != nil {
		return nil, failuref(exitRefused, "read value: %w", err)
	}
	return value, nil
}

func (p *putFlags) write(ctx context.Context, state *fenfa.State, key, name string, value []byte) (uint64, error) {
	switch {
	case p.remove:
		return 0, state.Delete(ctx, key, name, p.version)
	case p.anyVersion:
		return state.PutAny(ctx, key, name, value)
	default:
		return state.Put(ctx, key, name, value, p.version)
	}
}

// openInput opens a file, or standard input for "-".
func openInput(cmd *cobra.Command, path string) (in io.Reader, closeFile func() error, err error) {
	if path == "-" {
		return cmd.InOrStdin(), func() error { return nil }, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, usagef("open input: %w", err)
	}
	return f, f.Close, nil
}
