using Llama3Cluster.Shards.Files.Writing;
using Spectre.Console;

namespace Llama3Cluster.Gateway.Local;

/// <summary>A bar on the error stream while a model is written; nothing where that is not a terminal.</summary>
internal static class WritingProgressBar
{
    /// <summary>Runs work that reports its progress.</summary>
    public static T Show<T>(Func<IProgress<WritingProgress>?, T> work)
    {
        if (Console.IsErrorRedirected)
            return work(null);
        IAnsiConsole terminal = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        return terminal.Progress().AutoClear(true).Start(context =>
        {
            ProgressTask task = context.AddTask("writing", maxValue: 1);
            return work(new Progress<WritingProgress>(progress => task.Value = (double)progress.Bytes / progress.TotalBytes));
        });
    }
}
