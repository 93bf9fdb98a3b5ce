package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa/internal/config"
	"github.com/fenfa/fenfa/internal/node"
	"github.com/fenfa/fenfa/internal/telemetry"
)

func newServe() *cobra.Command {
	var file string
	var printConfig bool
	loader := config.NewLoader()
	cmd := &cobra.Command{
		Use: "serve", Short: "Run a node",
		Long: `Run a node until SIGINT or SIGTERM. It then takes nothing new, lets workers finish what
they have until --shutdown-drain is over, and ends; a second signal ends it at once, which
loses nothing either.

Every setting is a key of the configuration file, an environment variable and a flag; the
last of them wins. --print-config shows the result and where each value came from.`,
		Example: "  fenfa serve --data-dir /var/lib/fenfa\n  fenfa serve --config fenfa.yaml --print-config", Args: exactly(),
	}
	f := cmd.Flags()
	f.StringVar(&file, "config", "", "configuration file, YAML; environment "+config.FileVariable)
	f.BoolVar(&printConfig, "print-config", false, "show the configuration and where each value came from, and end")
	for _, setting := range loader.Flags() {
		flag := f.VarPF(setting, setting.Name, "", setting.Usage)
		flag.DefValue = setting.Default
		if setting.IsBool {
			flag.NoOptDefVal = "true"
		}
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		loaded, err := loader.Load(file, os.Environ())
		if err != nil {
			return usagef("%w", err).withHint("`fenfa serve --help` explains every setting")
		}
		if printConfig {
			return loaded.Print(cmd.OutOrStdout())
		}
		for _, warning := range loaded.Warnings {
			fmt.Fprintf(cmd.ErrOrStderr(), "fenfa: %s\n", warning)
		}
		return serve(cmd.Context(), loaded.Config, cmd.ErrOrStderr())
	}
	return cmd
}

// serve runs a node until ctx ends and it has drained. Its log goes to out.
func serve(ctx context.Context, cfg config.Config, out io.Writer) error {
	logger, err := telemetry.NewLogger(out, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return usagef("%w", err)
	}
	n, err := node.Open(ctx, node.Options{
		Config: cfg, Build: build(), Logger: logger, TuneProcess: true,
		Fatal: func(err error) {
			logger.Error("the disk failed; the node ends", "error", err)
			os.Exit(exitNode)
		},
	})
	if err == nil {
		err = n.Run(ctx)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return err
	default:
		return failuref(exitNode, "%w", err)
	}
}
