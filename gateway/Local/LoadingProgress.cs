using Llama3Cluster.Shards.Slices;
using Spectre.Console;

namespace Llama3Cluster.Gateway.Local;

/// <summary>A bar on the error stream while weights load; nothing where that is not a terminal.</summary>
internal static class LoadingProgress
{
    private static readonly IAnsiConsole Terminal = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });

    /// <summary>Runs work that reports its progress.</summary>
    public static T Show<T>(string what, Func<IProgress<LoadProgress>?, T> work) =>
        Console.IsErrorRedirected
            ? work(null)
            : Terminal.Progress().AutoClear(true).Start(context =>
            {
                ProgressTask task = context.AddTask(Markup.Escape(what), maxValue: 1);
                return work(new Relay(progress => task.Value = progress.Fraction));
            });

    private sealed class Relay(Action<LoadProgress> report) : IProgress<LoadProgress>
    {
        public void Report(LoadProgress value) => report(value);
    }
}
