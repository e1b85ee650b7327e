namespace Llama3Cluster.Gateway.Cli;

/// <summary>
/// Runs the long work of a command beside the thread that parsed it. Interrupts are turned into cancellation only once a command's
/// action has returned its task: work on the caller's thread would be killed instead, and leave its partial output behind.
/// </summary>
internal static class Background
{
    /// <summary>Runs work to its end.</summary>
    /// <returns>The exit code of success.</returns>
    public static async Task<int> Run(Action work)
    {
        await Task.Run(work).ConfigureAwait(false);
        return 0;
    }
}
