package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

// defaultAddr is where a node listens unless told otherwise.
const defaultAddr = "127.0.0.1:7400"

// The environment names the node, and what is shown to it, for all commands. There
// is no flag for a token: whoever may list processes would see it.
const (
	envAddr      = "FENFA_ADDR"
	envToken     = "FENFA_TOKEN"      //nolint:gosec // It is a name.
	envTokenFile = "FENFA_TOKEN_FILE" //nolint:gosec // It is a name.
	envTLS       = "FENFA_TLS"
	envTLSCA     = "FENFA_TLS_CA"
	envTLSCert   = "FENFA_TLS_CERT"
	envTLSKey    = "FENFA_TLS_KEY"
)

// target says how a node is reached.
type target struct {
	addr      string
	timeout   time.Duration
	tokenFile string
	tls       bool
	tlsFiles  fenfa.TLSFiles
}

// targetFlags adds the flags that say which node a command talks to.
func targetFlags(cmd *cobra.Command) *target {
	t := &target{}
	addr := defaultAddr
	if env := os.Getenv(envAddr); env != "" {
		addr = env
	}
	cmd.Flags().StringVar(&t.addr, "addr", addr, "address of the node's gRPC port; environment "+envAddr)
	cmd.Flags().Lookup("addr").DefValue = defaultAddr
	cmd.Flags().DurationVar(&t.timeout, "timeout", 10*time.Second, "how long to wait for each answer of the node")
	t.tls = os.Getenv(envTLS) == "true" || os.Getenv(envTLS) == "1"
	cmd.Flags().BoolVar(&t.tls, "tls", t.tls, "encrypt the connection; environment "+envTLS)
	cmd.Flags().Lookup("tls").DefValue = "false"
	for _, f := range []struct {
		name, env, usage string
		value            *string
	}{
		{"token-file", envTokenFile, "file with the API token to show; or the token itself in the environment, as " + envToken, &t.tokenFile},
		{"tls-ca", envTLSCA, "file with the authorities that may vouch for the node (default: the system's); means --tls", &t.tlsFiles.CA},
		{"tls-cert", envTLSCert, "file with the certificate to show; means --tls", &t.tlsFiles.Cert},
		{"tls-key", envTLSKey, "file with the key of the certificate", &t.tlsFiles.Key},
	} {
		*f.value = os.Getenv(f.env)
		if cmd.Flags().Lookup(f.name) != nil {
			f.name = "node-" + f.name // The command has another use for the name.
		}
		cmd.Flags().StringVar(f.value, f.name, *f.value, f.usage+"; environment "+f.env)
		cmd.Flags().Lookup(f.name).DefValue = ""
	}
	return t
}

// isConnection reports whether a flag says how the node is reached: all commands that
// talk to one have the same.
func isConnection(name string) bool {
	return slices.Contains([]string{"addr", "timeout", "token-file", "tls", "tls-ca", "tls-cert", "tls-key"}, name)
}

// options are those of the client.
func (t *target) options() ([]fenfa.DialOption, error) {
	opts := []fenfa.DialOption{fenfa.WithDialTimeout(min(t.timeout, 5*time.Second)), fenfa.WithSubmitTimeout(t.timeout)}
	switch token := os.Getenv(envToken); {
	case t.tokenFile != "" && token != "":
		return nil, usagef("--token-file and %s are both given: give one of them", envToken)
	case t.tokenFile != "":
		opts = append(opts, fenfa.WithTokenFile(t.tokenFile))
	case token != "":
		opts = append(opts, fenfa.WithToken(token))
	}
	if t.tls || t.tlsFiles != (fenfa.TLSFiles{}) {
		opts = append(opts, fenfa.WithTLSFiles(t.tlsFiles))
	}
	return opts, nil
}

// dial makes a client of the node.
func (t *target) dial() (*fenfa.Client, error) {
	if t.timeout <= 0 {
		return nil, usagef("--timeout is %v: want more than 0", t.timeout)
	}
	opts, err := t.options()
	if err != nil {
		return nil, err
	}
	client, err := fenfa.Dial(t.addr, opts...)
	if err != nil {
		return nil, failuref(exitUsage, "%w", err)
	}
	return client, nil
}

// call dials the node, lets ask use it within the timeout, and closes it.
func (t *target) call(ctx context.Context, ask func(context.Context, *fenfa.Client) error) (err error) {
	client, err := t.dial()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	return t.ask(ctx, client, ask)
}

// ask lets f use a client within the timeout.
func (t *target) ask(ctx context.Context, client *fenfa.Client, f func(context.Context, *fenfa.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	return f(ctx, client)
}
