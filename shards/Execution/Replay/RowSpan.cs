namespace Llama3Cluster.Shards.Execution.Replay;

/// <summary>
/// The rows [From, To) of a run are computed; those before and behind are held in the KV cache, and their outputs logged where a stage
/// follows.
/// </summary>
/// <param name="From">The first row that is computed.</param>
/// <param name="To">One past the last.</param>
/// <param name="Held">How many leading rows of the run the KV cache held before.</param>
internal readonly record struct RowSpan(int From, int To, int Held)
{
    public int Count => To - From;

    /// <summary>All rows of a run that is new to the stage.</summary>
    public static RowSpan All(int rows) => new(0, rows, 0);
}
