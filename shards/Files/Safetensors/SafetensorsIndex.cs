using System.Text.Json;

namespace Llama3Cluster.Shards.Files.Safetensors;

/// <summary>The index of a sharded model: which of the files beside it holds each tensor.</summary>
internal static class SafetensorsIndex
{
    public const string FileName = "model.safetensors.index.json";

    private const int IndexLimit = 64 << 20;
    private const int ShardLimit = 4096;

    /// <summary>Reads an index.</summary>
    /// <returns>Shard file name by tensor name; every file name is a plain one, so it stays inside the folder.</returns>
    /// <exception cref="ModelFileException">The index is damaged or names a file elsewhere.</exception>
    public static Dictionary<string, string> Read(string path)
    {
        using JsonDocument document = JsonFile.Read(path, IndexLimit);
        if (!document.RootElement.TryGetProperty("weight_map", out JsonElement map) || map.ValueKind != JsonValueKind.Object)
            throw new ModelFileException($"{path} has no weight_map object");
        var shards = new Dictionary<string, string>();
        foreach (JsonProperty property in map.EnumerateObject())
        {
            string tensor = property.NameText(path);
            string file = property.Value.Text(path, $"the file of tensor {tensor}");
            RequirePlainName(path, tensor, file);
            shards.Add(tensor, file);
        }

        int files = shards.Values.Distinct().Count();
        if (files is 0 or > ShardLimit)
            throw new ModelFileException($"{path} names {files} files; a model has 1 to {ShardLimit}");
        return shards;
    }

    private static void RequirePlainName(string path, string tensor, string file)
    {
        bool plain = file.EndsWith(".safetensors", StringComparison.Ordinal)
            && file.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_')
            && file[0] != '.';
        if (!plain)
            throw new ModelFileException($"{path} keeps tensor {tensor} in \"{file}\"; "
                + "a shard must be the plain name of a .safetensors file in the same folder");
    }
}
