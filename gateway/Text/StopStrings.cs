namespace Llama3Cluster.Gateway.Text;

/// <summary>What the endpoints allow as stop strings.</summary>
internal static class StopStrings
{
    /// <summary>Most stop strings of a request.</summary>
    public const int MaxCount = 16;

    /// <summary>Most characters of one.</summary>
    public const int MaxLength = 1024;

    /// <summary>What is wrong with stop strings; null when they can be used.</summary>
    public static string? ProblemOf(IReadOnlyList<string> stops)
    {
        if (stops.Count > MaxCount)
            return $"at most {MaxCount} stop strings are allowed, but got {stops.Count}.";
        return stops.FirstOrDefault(stop => stop.Length is 0 or > MaxLength) is { } wrong
            ? $"a stop string has 1 to {MaxLength} characters, but one has {wrong.Length}."
            : null;
    }
}
