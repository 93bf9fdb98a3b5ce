package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/access"
)

func newToken() *cobra.Command {
	return group("token", "Make, rotate and revoke API tokens",
		"A token says who may do what, on a node that asks for tokens (auth.required). Its secret is\n"+
			"shown once; the node keeps a hash of it.",
		newTokenCreate(), newTokenList(), newTokenShow(), newTokenRotate(), newTokenRevoke(), newTokenGenerate())
}

// listTokens is the hint after a token was not found.
const listTokens = "`fenfa token list` shows the tokens that there are" //nolint:gosec // It is no secret.

// tokenView is a token in JSON. The secret stands in it when it was made, and never
// again.
type tokenView struct {
	ID            string   `json:"id"`
	Name          string   `json:"name"`
	Scopes        []string `json:"scopes"`
	Requests      float64  `json:"requests_per_second,omitempty"`
	Tasks         float64  `json:"tasks_per_second,omitempty"`
	Bytes         float64  `json:"bytes_per_second,omitempty"`
	Burst         string   `json:"burst,omitempty"`
	CreatedAt     string   `json:"created_at,omitempty"`
	CreatedBy     string   `json:"created_by,omitempty"`
	ExpiresAt     string   `json:"expires_at,omitempty"`
	LastUsedAt    string   `json:"last_used_at,omitempty"`
	RotatedAt     string   `json:"rotated_at,omitempty"`
	PreviousUntil string   `json:"previous_until,omitempty"`
	Secret        string   `json:"secret,omitempty"`
}

func viewToken(t *fenfa.Token) tokenView {
	v := tokenView{
		ID: t.ID, Name: t.Name, Scopes: t.Scopes, Requests: t.Limits.Requests, Tasks: t.Limits.Tasks, Bytes: t.Limits.Bytes,
		CreatedAt: timeView(t.CreatedAt), CreatedBy: t.CreatedBy, ExpiresAt: timeView(t.ExpiresAt), LastUsedAt: timeView(t.LastUsedAt),
		RotatedAt: timeView(t.RotatedAt), PreviousUntil: timeView(t.PreviousUntil),
	}
	if t.Limits.Burst > 0 {
		v.Burst = t.Limits.Burst.String()
	}
	return v
}

func tokenRows(t *fenfa.Token) [][2]string {
	return [][2]string{
		{"id", t.ID},
		{"name", t.Name},
		{"scopes", strings.Join(t.Scopes, "  ")},
		{"limits", limitsText(t.Limits)},
		{"created", moment(t.CreatedAt)},
		{"created by", t.CreatedBy},
		{"expires", moment(t.ExpiresAt)},
		{"last used", moment(t.LastUsedAt)},
		{"rotated", moment(t.RotatedAt)},
		{"old secret until", moment(t.PreviousUntil)},
	}
}

// limitsText is empty where there are none.
func limitsText(l fenfa.TokenLimits) string {
	var parts []string
	for _, rate := range []struct {
		value float64
		what  string
	}{{l.Requests, "requests"}, {l.Tasks, "tasks"}, {l.Bytes, "bytes"}} {
		if rate.value > 0 {
			parts = append(parts, strconv.FormatFloat(rate.value, 'f', -1, 64)+" "+rate.what+"/s")
		}
	}
	if len(parts) > 0 {
		parts = append(parts, "burst "+l.Burst.String())
	}
	return strings.Join(parts, ", ")
}

// secretFlags says where a new secret goes.
type secretFlags struct{ file string }

func newSecretFlags(cmd *cobra.Command) *secretFlags {
	s := &secretFlags{}
	cmd.Flags().StringVar(&s.file, "out", "", "write the secret into this file, for its owner only, instead of showing it; the file is replaced")
	return s
}

// deliver hands out a secret: into the file, or on standard output once.
func (s *secretFlags) deliver(cmd *cobra.Command, out *output, t *fenfa.NewToken) error {
	v := viewToken(&t.Token)
	if s.file != "" {
		if err := writeSecret(s.file, t.Secret, true); err != nil {
			return err
		}
	} else {
		v.Secret = t.Secret.Reveal()
	}
	return out.write(cmd, v, func(w io.Writer) {
		pairs(w, tokenRows(&t.Token))
		if s.file == "" {
			fmt.Fprintf(w, "\n%s\n\nThis secret is not shown again.\n", t.Secret.Reveal())
		}
	})
}

// writeSecret writes a file that its owner alone may read. It replaces one that is
// there only where that is wanted.
func writeSecret(name string, secret fenfa.Secret, replace bool) error {
	target := name
	if replace {
		target = name + ".new"
	}
	f, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return failuref(exitRefused, "%s is there already: nothing was written", target).withHint("choose another file, or delete it first")
	}
	if err != nil {
		return failuref(exitRefused, "write secret: %w", err)
	}
	_, err = io.WriteString(f, secret.Reveal()+"\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil && replace {
		err = os.Rename(target, name)
	}
	if err != nil {
		return failuref(exitRefused, "write secret: %w", err)
	}
	return nil
}

func newTokenCreate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "create", Short: "Make a token, and show its secret once",
		Long: `Make a token, and show its secret once. A scope is a name, the beginning of names with a *
behind it, or *, then a colon and actions:

  submit, work, read, manage   on queues
  state-read, state            on keys of records
  lock                         on names of locks
  saga, operate                on names of saga definitions
  metrics, admin               on * only`,
		Example: "  fenfa token create --name ci --scope 'orders:submit,read' --scope 'stock-*:state-read' --expires 720h\n" +
			"  fenfa token create --name worker-7 --scope 'orders:work' --scope 'payments:submit' --out /etc/fenfa/worker-7.token\n" +
			"  fenfa token create --name partner --scope 'orders:submit' --tasks-rate 100 --burst 10s",
		Args: exactly(),
	}
	to, out, secret := targetFlags(cmd), outputFlags(cmd), newSecretFlags(cmd)
	var spec fenfa.TokenSpec
	f := cmd.Flags()
	f.StringVar(&spec.Name, "name", "", "name of the token, unique (needed)")
	f.StringArrayVar(&spec.Scopes, "scope", nil, "what it may do, like 'orders:submit,read'; may be given again (needed)")
	f.DurationVar(&spec.ExpiresIn, "expires", 0, "how long it counts (default: until it is revoked)")
	f.Float64Var(&spec.Limits.Requests, "requests-rate", 0, "requests a second, on each node (default: no limit)")
	f.Float64Var(&spec.Limits.Tasks, "tasks-rate", 0, "tasks submitted a second, on each node (default: no limit)")
	f.Float64Var(&spec.Limits.Bytes, "bytes-rate", 0, "bytes of payload submitted a second, on each node (default: no limit)")
	f.DurationVar(&spec.Limits.Burst, "burst", 0, "for how long what was not used adds up, 1s to 1h (default: 1s)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if spec.Name == "" || len(spec.Scopes) == 0 {
			return usagef("a token needs --name and --scope").withHint("see `fenfa token create --help`")
		}
		if err := checkExpires(cmd, spec.ExpiresIn); err != nil {
			return err
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			t, err := c.Tokens().Create(ctx, spec)
			if err != nil {
				return hinted(err, "`fenfa token rotate "+spec.Name+"` gives it another secret", fenfa.CodeAlreadyExists)
			}
			if !t.Required {
				fmt.Fprintln(cmd.ErrOrStderr(), "fenfa: this node does not ask for tokens: whoever reaches it may do anything (auth.required)")
			}
			return secret.deliver(cmd, out, &t)
		})
	}
	return cmd
}

func newTokenList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List all tokens, without their secrets", Example: "  fenfa token list --json", Args: exactly()}
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			tokens, err := c.Tokens().List(ctx)
			if err != nil {
				return err
			}
			views := make([]tokenView, len(tokens))
			rows := [][]string{{"NAME", "ID", "SCOPES", "EXPIRES", "LAST USED", "LIMITS"}}
			for i := range tokens {
				t := &tokens[i]
				views[i] = viewToken(t)
				rows = append(rows, []string{t.Name, t.ID, strings.Join(t.Scopes, " "), orDash(moment(t.ExpiresAt)), orDash(moment(t.LastUsedAt)), orDash(limitsText(t.Limits))})
			}
			return out.write(cmd, map[string][]tokenView{"tokens": views}, func(w io.Writer) { table(w, rows) })
		})
	}
	return cmd
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func newTokenShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show NAME", Short: "Show one token, by name or id", Example: "  fenfa token show ci", Args: exactly("NAME")}
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			t, err := c.Tokens().Get(ctx, args[0])
			if err != nil {
				return hinted(err, listTokens, fenfa.CodeNotFound)
			}
			return out.write(cmd, viewToken(&t), func(w io.Writer) { pairs(w, tokenRows(&t)) })
		})
	}
	return cmd
}

func newTokenRotate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "rotate NAME", Short: "Give a token another secret, and show it once",
		Long: "Give a token another secret, and show it once. The secret before goes on to count for the\n" +
			"grace period, so that those who use it can be told.",
		Example: "  fenfa token rotate ci --grace 24h\n  fenfa token rotate ci --grace 0 --expires 720h", Args: exactly("NAME"),
	}
	to, out, secret := targetFlags(cmd), outputFlags(cmd), newSecretFlags(cmd)
	grace := cmd.Flags().Duration("grace", time.Hour, "how long the secret before goes on to count, at most 720h; 0 ends it at once")
	expires := cmd.Flags().Duration("expires", 0, "how long the token counts from now on (default: as before)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkExpires(cmd, *expires); err != nil {
			return err
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			t, err := c.Tokens().Rotate(ctx, args[0], *grace, *expires)
			if err != nil {
				return hinted(err, listTokens, fenfa.CodeNotFound)
			}
			return secret.deliver(cmd, out, &t)
		})
	}
	return cmd
}

// checkExpires refuses a token that would not count at all: 0 is no way to say never.
func checkExpires(cmd *cobra.Command, after time.Duration) error {
	if cmd.Flags().Changed("expires") && after <= 0 {
		return usagef("--expires is %v: a token must count for some time", after).withHint("leave the flag out for a token without an end")
	}
	return nil
}

func newTokenRevoke() *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke NAME", Short: "End a token for good",
		Long:    "End a token for good. Calls with it are refused from now on, and its streams end within seconds.",
		Example: "  fenfa token revoke ci", Args: exactly("NAME"),
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			if err := c.Tokens().Revoke(ctx, args[0]); err != nil {
				return hinted(err, listTokens, fenfa.CodeNotFound)
			}
			return out.write(cmd, map[string]string{"revoked": args[0]}, func(w io.Writer) { fmt.Fprintln(w, "revoked") })
		})
	}
	return cmd
}

func newTokenGenerate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "generate FILE", Short: "Write a new root token into a file, for auth.root_token_file",
		Long: "Write a new root token into a file that its owner alone may read. A node that is given the\n" +
			"file as auth.root_token_file lets whoever shows the token do everything: to make the first\n" +
			"other tokens. No node is asked.",
		Example: "  fenfa token generate /etc/fenfa/root.token\n  fenfa serve --auth-required --auth-root-token-file /etc/fenfa/root.token", Args: exactly("FILE"),
	}
	out := outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		_, secret := access.Generate()
		if err := writeSecret(args[0], fenfa.NewSecret(secret.Reveal()), false); err != nil {
			return err
		}
		return out.write(cmd, map[string]string{"file": args[0]}, func(w io.Writer) { fmt.Fprintln(w, args[0]) })
	}
	return cmd
}
