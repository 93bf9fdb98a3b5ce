package main

import (
	"context"
	"fmt"
	"io"
	"os/user"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

func newLock() *cobra.Command {
	return group("lock", "Hold locks, and look at those that are held",
		"A lock has one holder at a time; those who wait get it in the order in which they came.\n"+
			"Each holder has a token, which is greater than all earlier ones of the lock.",
		newLockAcquire(), newLockList(), newLockShow(), newLockRelease(), newLockSteal())
}

func newLockList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list [PREFIX]", Short: "List the locks that are held", Example: "  fenfa lock list reports/",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return exactly("PREFIX")(cmd, args)
		},
	}
	to, out, part := targetFlags(cmd), outputFlags(cmd), pageFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := part.check(); err != nil {
			return err
		}
		prefix := ""
		if len(args) > 0 {
			prefix = args[0]
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			locks, next, err := c.Locks().List(ctx, prefix, fenfa.Page{Size: part.limit, Token: part.token})
			if err != nil {
				return err
			}
			view := struct {
				Locks []lockView `json:"locks"`
				Next  string     `json:"next,omitempty"`
			}{Locks: make([]lockView, len(locks)), Next: next}
			rows := [][]string{{"NAME", "TOKEN", "HOLDER", "SINCE", "EXPIRES IN", "WAITERS"}}
			for i := range locks {
				l := &locks[i]
				view.Locks[i] = viewLock(l)
				rows = append(rows, []string{
					clip([]byte(l.Name), 60), strconv.FormatUint(l.Token, 10), clip([]byte(l.Holder), 60), moment(l.Since), view.Locks[i].ExpiresIn, strconv.Itoa(l.Waiters),
				})
			}
			return out.write(cmd, view, func(w io.Writer) { table(w, rows); more(w, next) })
		})
	}
	return cmd
}

func newLockShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show NAME", Short: "Show who holds a lock, and how many wait", Example: "  fenfa lock show reports/daily", Args: exactly("NAME")}
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			l, err := c.Locks().Get(ctx, args[0])
			if err != nil {
				return hinted(err, "`fenfa lock list` shows the locks that are held", fenfa.CodeNotFound)
			}
			view := viewLock(&l)
			return out.write(cmd, view, func(w io.Writer) {
				pairs(w, [][2]string{
					{"name", l.Name},
					{"holder", clip([]byte(l.Holder), 300)},
					{"token", strconv.FormatUint(l.Token, 10)},
					{"since", moment(l.Since)},
					{"ttl", view.TTL},
					{"expires in", view.ExpiresIn + " unless it is renewed"},
					{"waiters", strconv.Itoa(l.Waiters)},
				})
			})
		})
	}
	return cmd
}

func newLockRelease() *cobra.Command {
	cmd := &cobra.Command{
		Use: "release NAME", Short: "Free a lock, or hand it to the first in line",
		Long:    "Free a lock, or hand it to the first in line, if its token is the given one. Its holder\nfinds out at its next renewal.",
		Example: "  fenfa lock release reports/daily --token 1042",
		Args:    exactly("NAME"),
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	token := cmd.Flags().Uint64("token", 0, "the token that `fenfa lock show` names")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *token == 0 {
			return usagef("say which token is to end").withHint("--token N; `fenfa lock show %s` names the current one", args[0])
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			if err := c.Locks().Release(ctx, args[0], *token); err != nil {
				return hinted(err, fmt.Sprintf("nothing changed; `fenfa lock show %s` names the current token", args[0]), fenfa.CodeStale)
			}
			return out.write(cmd, lockView{Name: args[0], Token: *token}, func(w io.Writer) { fmt.Fprintln(w, "released") })
		})
	}
	return cmd
}

func newLockSteal() *cobra.Command {
	cmd := &cobra.Command{
		Use: "steal NAME", Short: "Take a lock from whoever holds it",
		Long: "Take a lock from whoever holds it, with a new token. The old holder finds out at its next\n" +
			"renewal; until then it may still work, unless what it writes to checks tokens. Those in\n" +
			"line stay there: they get the lock when it is released, or when the TTL is over.",
		Example: "  fenfa lock steal reports/daily --ttl 10m\n  fenfa lock steal reports/daily --release",
		Args:    exactly("NAME"),
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	ttl := cmd.Flags().Duration("ttl", 30*time.Second, "how long to hold it, 1s to 24h; it is not renewed")
	holder := cmd.Flags().String("holder", "", "what others see as the holder (default: your name)")
	release := cmd.Flags().Bool("release", false, "hand it to the first in line at once")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *holder == "" {
			*holder = "a person"
			if u, err := user.Current(); err == nil {
				*holder = u.Username
			}
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			token, err := c.Locks().Steal(ctx, args[0], *holder, *ttl)
			if err != nil {
				return err
			}
			view := lockView{Name: args[0], Holder: *holder, Token: token, TTL: ttl.String()}
			if *release {
				if err := c.Locks().Release(ctx, args[0], token); err != nil {
					return err
				}
			}
			return out.write(cmd, view, func(w io.Writer) {
				if *release {
					fmt.Fprintf(w, "token %d, released\n", token)
					return
				}
				fmt.Fprintf(w, "token %d for %v\n", token, *ttl)
			})
		})
	}
	return cmd
}
