using System.Text.Json;

namespace Llama3Cluster.Gateway.Tests.Tokenizers;

/// <summary>Where the tests' files are: the demo model in the repository, and the shared folder that may lie beside it.</summary>
internal static class SharedMaterial
{
    private static readonly string Root = FindRoot();

    public static string Demo => Path.Combine(Root, "models", "demo");

    public static string Llama31 => Path.Combine(Folder, "tokenizers", "llama3.1");

    public static string Folder => Path.Combine(Path.GetDirectoryName(Root)!, "shared");

    public static string Model(string name) => name == "demo" ? Demo : Path.Combine(Folder, "models", name);

    public static string? Missing => Directory.Exists(Folder) ? null : $"The shared folder is not here: {Folder}";

    /// <summary>The cases of a model's golden.json.</summary>
    public static IEnumerable<GoldenCase> GoldenCases(string model)
    {
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Model(model), "golden.json")));
        foreach (JsonElement entry in golden.RootElement.GetProperty("cases").EnumerateArray())
        {
            yield return new GoldenCase(
                entry.TryGetProperty("kind", out JsonElement kind) && kind.GetString() == "chat",
                entry.GetProperty("prompt").GetString()!,
                Ids(entry.GetProperty("ids")),
                Ids(entry.GetProperty("greedy_ids")),
                entry.GetProperty("greedy_text").GetString()!);
        }
    }

    public static int[] Ids(JsonElement array) => [.. array.EnumerateArray().Select(id => id.GetInt32())];

    private static string FindRoot()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(Path.Combine(folder, "Llama3Cluster.sln")))
            folder = Path.GetDirectoryName(folder);
        return folder ?? throw new InvalidOperationException("The tests do not lie in the solution's folder.");
    }
}

/// <summary>A prompt, its ids, and the model's greedy answer.</summary>
internal sealed record GoldenCase(bool Chat, string Prompt, int[] Ids, int[] GreedyIds, string GreedyText);

/// <summary>A fact that needs the shared folder and is skipped without it.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class SharedFactAttribute : FactAttribute
{
    public SharedFactAttribute() => Skip = SharedMaterial.Missing;
}

/// <summary>A theory that needs the shared folder and is skipped without it.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class SharedTheoryAttribute : TheoryAttribute
{
    public SharedTheoryAttribute() => Skip = SharedMaterial.Missing;
}
