namespace Llama3Cluster.Gateway.Local;

/// <summary>The small model that ships with the program, so that it answers before a real one is at hand.</summary>
internal static class DemoModel
{
    /// <summary>Where it lies beside the program.</summary>
    public static string Path { get; } = System.IO.Path.Combine(AppContext.BaseDirectory, "models", "demo");
}
