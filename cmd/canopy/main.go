// Command canopy is the whole of Canopy in one program: the server, the demo, and what a platform operator does.
//
// main parses, wires and runs; each subcommand has a file of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"canopy/server"

	"github.com/alecthomas/kong"
)

// The exit codes besides 0. Only the third one says something about the data.
const (
	exitFailed = 1
	exitUsage  = 2
	exitFaults = 3
)

// errFaults says that there are faults in the database. What they are has been printed.
var errFaults = errors.New("there are faults in the database")

type commands struct {
	Serve    serveCommand    `cmd:"" help:"Serve the API and the playground."`
	Demo     demoCommand     `cmd:"" help:"Serve a database of demo data, made on the first run."`
	Migrate  migrateCommand  `cmd:"" help:"Bring the schema of a database up to date, or show where it stands."`
	Account  accountCommand  `cmd:"" help:"Create an account, or change what an operator decides about one."`
	Request  requestCommand  `cmd:"" help:"Decide the requests for groups."`
	Doctor   doctorCommand   `cmd:"" help:"Examine a database: whether what is stored agrees with itself. It changes nothing."`
	Rebuild  rebuildCommand  `cmd:"" help:"Mend what canopy doctor finds wrong in paths, lists and counters, from the truth."`
	Import   importCommand   `cmd:"" help:"Take groups, users or contacts in from a file."`
	Export   exportCommand   `cmd:"" help:"Write groups, users or contacts to a file."`
	Generate generateCommand `cmd:"" help:"Fill an account with groups, users and contacts that are made up."`
	Version  versionCommand  `cmd:"" help:"Print the version."`
}

// streams are what a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	os.Exit(run(untilSignal(), os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// untilSignal returns a context that ends when the program is asked to stop. Whoever presses Ctrl-C does not want to
// wait for a load balancer to notice. A second signal ends the program at once.
func untilSignal() context.Context {
	ctx, end := context.WithCancelCause(context.Background())
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, os.Interrupt, syscall.SIGTERM)
	go func() {
		got := <-asked
		signal.Stop(asked)
		if got == os.Interrupt {
			end(server.ErrAtOnce)
		}
		end(nil)
	}()
	return ctx
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, std streams) int {
	parser, err := kong.New(&commands{},
		kong.Name("canopy"),
		kong.Description("Canopy keeps the users, roles, tree of groups and contacts of customer-messaging teams, and answers in GraphQL.\n\n"+
			"Every flag can be given as an environment variable too: --log-format is CANOPY_LOG_FORMAT."),
		kong.DefaultEnvars("CANOPY"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(std.out, std.err),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(std),
	)
	if err != nil {
		panic(err) // the commands above cannot be understood
	}
	command, err := parser.Parse(args)
	if err != nil {
		complain(std.err, err)
		fmt.Fprintln(std.err, "Run canopy --help to see what there is.")
		return exitUsage
	}
	switch err := command.Run(); {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		complain(std.err, errors.New("it was stopped before it was done"))
		return exitFailed
	case errors.Is(err, errFaults):
		return exitFaults
	default:
		complain(std.err, err)
		return exitFailed
	}
}

// complain writes an error as one line.
func complain(w io.Writer, err error) { fmt.Fprintln(w, "canopy:", oneLine(err)) }

func oneLine(err error) string {
	return strings.NewReplacer(":\n", ": ", "\n", "; ", "\t", "").Replace(err.Error())
}
