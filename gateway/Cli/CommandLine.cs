using System.CommandLine;
using System.Net.Sockets;
using Akka.Remote;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Actors.Security;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Gateway.Cli;

/// <summary>The program's commands; <c>serve</c> is the one that runs when none is named.</summary>
internal static class CommandLine
{
    private const string Description = """
        Serves Llama 3 models over a pipeline of machines, with an OpenAI-compatible API.

        Without a command it serves the demo model that ships with it:
          llama3cluster                                      serve on http://127.0.0.1:8080
          llama3cluster --model llama-3.1-8b.gguf            serve a model of yours
          llama3cluster generate --prompt "Once upon a time"
        """;

    /// <summary>Runs the command that the arguments name.</summary>
    /// <returns>The exit code: 0, or 1 for an error that was printed, or 130 when it was interrupted.</returns>
    public static async Task<int> RunAsync(string[] args)
    {
        RootCommand root = Build();
        ParseResult result = root.Parse(WithDefaultCommand(args));
        try
        {
            return await result.InvokeAsync(new InvocationConfiguration
            {
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = TimeSpan.FromSeconds(640), // answers end and a node leaves its cluster before it does
            }).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return 130;
        }
        catch (Exception error) when (MessageOf(error) is { } message)
        {
            await Console.Error.WriteLineAsync($"error: {message}").ConfigureAwait(false);
            return 1;
        }
    }

    /// <summary>All commands.</summary>
    internal static RootCommand Build() => new(Description)
    {
        ServeCommand.Create(),
        NodeCommand.Create(),
        GenerateCommand.Create(),
        PlanCommand.Create(),
        StatusCommand.Create(),
        DevicesCommand.Create(),
        TokenizeCommand.Create(),
        LogitsCommand.Create(),
        PerplexityCommand.Create(),
        BenchCommand.Create(),
        SelfTestCommand.Create(),
        QuantizeCommand.Create(),
        SynthCommand.Create(),
        CertsCommand.Create(),
    };

    private static string[] WithDefaultCommand(string[] args)
    {
        bool asksForHelp = args is ["--help" or "-h" or "-?" or "/?" or "--version", ..];
        bool namesNone = args.Length == 0 || args[0].StartsWith('-');
        return namesNone && !asksForHelp ? ["serve", .. args] : args;
    }

    // Errors that say all there is to say in their message; anything else is a bug and deserves its stack trace.
    private static string? MessageOf(Exception error) => error switch
    {
        AggregateException { InnerException: { } inner } => MessageOf(inner),
        RemoteTransportException => $"{error.Message.Split(". See")[0]}: {error.GetBaseException().Message}. Choose another address with --cluster.",
        ModelFileException or DeviceMemoryException or PromptException or ArgumentException or IOException or UnauthorizedAccessException
            or HttpRequestException or SocketException or TlsFilesException or UsageException => error.Message,
        _ => null,
    };
}

/// <summary>A command that cannot do what its options ask for; the message says why and what to do.</summary>
internal sealed class UsageException(string message) : Exception(message);
