namespace Llama3Cluster.Gateway.Local.Bench;

/// <summary>One row of <c>bench</c>: a kind of work and the tokens a second of each repetition.</summary>
/// <param name="Test"><c>pp512</c>, <c>tg128</c>, <c>tg128 x 4</c>, <c>tg128 @ d512</c>…</param>
/// <param name="Rates">Tokens a second, one a repetition.</param>
/// <param name="Cost">What a second's work at one token a second reads and multiplies.</param>
internal sealed record BenchRow(string Test, IReadOnlyList<double> Rates, TokenCost Cost)
{
    /// <summary>The middle rate.</summary>
    public double Median
    {
        get
        {
            double[] sorted = [.. Rates.Order()];
            int middle = sorted.Length / 2;
            return sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
        }
    }

    /// <summary>Weight bytes read a second, where each step reads all weights for few tokens; null for prefill.</summary>
    public double? ReadBytesPerSecond => Cost.ReadBytes * Median;

    /// <summary>Multiply-adds by weights a second, two operations each.</summary>
    public double OperationsPerSecond => Cost.Operations * Median;

    /// <summary>The share of the time that the multiply-adds alone would take at the ceilings; null where those are not known.</summary>
    public double? OfOperations => Cost.SecondsOfOperations * Median;
}
