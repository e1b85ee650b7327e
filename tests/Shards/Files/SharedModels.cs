namespace Llama3Cluster.Shards.Tests.Files;

/// <summary>Finds real models: those that ship with the project, and those beside the repository that only some machines have.</summary>
internal static class SharedModels
{
    /// <summary>The repository's root: the folder above the test assembly that holds the solution.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>The demo model that ships with the project.</summary>
    public static string Demo => Path.Combine(Root, "models", "demo");

    /// <summary>The folder of shared material, or null if this machine has none.</summary>
    public static string? Folder { get; } = Path.GetFullPath(Path.Combine(Root, "..", "shared")) is var path && Directory.Exists(path) ? path : null;

    /// <summary>A path in the shared folder.</summary>
    public static string At(params string[] parts) =>
        Path.Combine([Folder ?? throw new InvalidOperationException("this machine has no shared folder; use SharedFact"), .. parts]);

    private static string FindRoot()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(Path.Combine(folder, "Llama3Cluster.sln")))
            folder = Path.GetDirectoryName(folder);
        return folder ?? throw new InvalidOperationException($"no folder above {AppContext.BaseDirectory} holds Llama3Cluster.sln");
    }
}

/// <summary>A test that needs the shared folder, and says so where it is missing.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class SharedFactAttribute : FactAttribute
{
    public SharedFactAttribute()
    {
        if (SharedModels.Folder is null)
            Skip = "needs the folder \"shared\" beside the repository";
    }
}

/// <summary>A theory that needs the shared folder, and says so where it is missing.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class SharedTheoryAttribute : TheoryAttribute
{
    public SharedTheoryAttribute()
    {
        if (SharedModels.Folder is null)
            Skip = "needs the folder \"shared\" beside the repository";
    }
}
