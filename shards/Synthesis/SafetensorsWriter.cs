using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Json.Nodes;
using Llama3Cluster.Shards.Files.Writing;

namespace Llama3Cluster.Shards.Synthesis;

/// <summary>Lays out safetensors files, one or several with an index.</summary>
internal static class SafetensorsWriter
{
    // The header is padded with blanks so that the data starts at a multiple of this, as the reference writer does.
    private const int HeaderAlignment = 8;

    /// <summary>Splits tensors into shards, in order; a tensor larger than a shard may be has one of its own.</summary>
    public static List<List<TensorSpec>> Split(IEnumerable<TensorSpec> tensors, long shardBytes)
    {
        var shards = new List<List<TensorSpec>>();
        long used = 0;
        foreach (TensorSpec tensor in tensors)
        {
            if (shards.Count == 0 || used + tensor.ByteCount > shardBytes)
            {
                shards.Add([]);
                used = 0;
            }

            shards[^1].Add(tensor);
            used += tensor.ByteCount;
        }

        return shards;
    }

    /// <summary>The name of a shard among several, or of the only one.</summary>
    public static string FileName(int shard, int count) =>
        count == 1 ? "model.safetensors" : $"model-{shard + 1:D5}-of-{count:D5}.safetensors";

    /// <summary>The index of several shards.</summary>
    public static string Index(IReadOnlyList<List<TensorSpec>> shards)
    {
        var map = new JsonObject();
        for (int i = 0; i < shards.Count; i++)
        {
            foreach (TensorSpec tensor in shards[i])
                map[tensor.Name] = FileName(i, shards.Count);
        }

        return new JsonObject
        {
            ["metadata"] = new JsonObject { ["total_size"] = shards.Sum(shard => shard.Sum(tensor => tensor.ByteCount)) },
            ["weight_map"] = map,
        }.ToJsonString();
    }

    /// <summary>Places the tensors of one file.</summary>
    public static TensorFileLayout Layout(IReadOnlyList<TensorSpec> tensors)
    {
        var directory = new JsonObject { ["__metadata__"] = new JsonObject { ["format"] = "pt" } };
        var offsets = new long[tensors.Count];
        long length = 0;
        for (int i = 0; i < tensors.Count; i++)
        {
            TensorSpec tensor = tensors[i];
            directory[tensor.Name] = new JsonObject
            {
                ["dtype"] = tensor.Format.ToString(),
                ["shape"] = new JsonArray([.. tensor.Shape.Select(dimension => JsonValue.Create(dimension))]),
                ["data_offsets"] = new JsonArray(length, length + tensor.ByteCount),
            };
            offsets[i] = length;
            length += tensor.ByteCount;
        }

        byte[] json = JsonSerializer.SerializeToUtf8Bytes(directory);
        int padded = (json.Length + HeaderAlignment - 1) / HeaderAlignment * HeaderAlignment;
        var header = new byte[sizeof(ulong) + padded];
        BinaryPrimitives.WriteUInt64LittleEndian(header, (ulong)padded);
        json.CopyTo(header, sizeof(ulong));
        header.AsSpan(sizeof(ulong) + json.Length).Fill((byte)' ');
        return new TensorFileLayout(
            header, [.. tensors.Zip(offsets, (tensor, offset) => (tensor, header.Length + offset))], header.Length + length);
    }
}
