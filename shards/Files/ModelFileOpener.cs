using Llama3Cluster.Shards.Files.Gguf;
using Llama3Cluster.Shards.Files.Safetensors;

namespace Llama3Cluster.Shards.Files;

/// <summary>Decides which kind of model a path leads to.</summary>
internal static class ModelFileOpener
{
    private const string Looked = "a model is a .gguf file, a .safetensors file beside its config.json, or a folder with config.json and "
        + "model.safetensors or model.safetensors.index.json";

    /// <summary>Opens the model at a path.</summary>
    public static ModelFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        if (Directory.Exists(path))
            return OpenFolder(path);
        if (!File.Exists(path))
            throw new ModelFileException($"there is no file or folder {path}; {Looked}");
        if (path.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase))
            return SafetensorsModel.OpenFile(path);

        // Download caches keep GGUF files under a digest without an extension, so the magic decides.
        if (path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase) || GgufFile.HasMagic(path))
            return GgufFile.OpenFile(path);
        throw new ModelFileException($"{path} is not a model: it neither ends in .gguf or .safetensors nor starts with \"GGUF\"; "
            + $"{Looked}");
    }

    private static SafetensorsModel OpenFolder(string path)
    {
        if (File.Exists(Path.Combine(path, SafetensorsModel.ConfigName)))
            return SafetensorsModel.OpenFolder(path);
        string? gguf = Directory.EnumerateFiles(path, "*.gguf").Order(StringComparer.Ordinal).FirstOrDefault();
        throw new ModelFileException($"folder {path} has no {SafetensorsModel.ConfigName}"
            + (gguf is null ? $"; {Looked}" : $"; to use the GGUF file in it, give its own path: {gguf}"));
    }
}
