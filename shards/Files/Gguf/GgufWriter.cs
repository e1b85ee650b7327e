using Llama3Cluster.Shards.Files.Writing;

namespace Llama3Cluster.Shards.Files.Gguf;

/// <summary>Lays out a GGUF file of version 3: metadata is added key by key, then the tensors give the layout.</summary>
internal sealed class GgufWriter
{
    private const uint Version = 3;

    private readonly OrderedDictionary<string, object> _pairs = [];

    /// <summary>Sets a key, in place of its earlier value if it has one.</summary>
    /// <param name="key">The key.</param>
    /// <param name="value">A value of one of the types that <see cref="GgufMetadata.Values"/> has.</param>
    public void Set(string key, object value) => _pairs[key] = value;

    /// <summary>Ends the file's header with a directory of tensors and places them.</summary>
    public TensorFileLayout Layout(IReadOnlyList<TensorSpec> tensors)
    {
        Set(GgufHeader.AlignmentKey, (uint)GgufHeader.DefaultAlignment);
        using var header = new MemoryStream();
        using var writer = new BinaryWriter(header);
        writer.Write(GgufHeader.Magic);
        writer.Write(Version);
        writer.Write((ulong)tensors.Count);
        writer.Write((ulong)_pairs.Count);
        foreach ((string key, object value) in _pairs)
        {
            GgufValueWriter.WriteString(writer, key);
            GgufValueWriter.Write(writer, value);
        }

        var offsets = new long[tensors.Count];
        long length = 0;
        for (int i = 0; i < tensors.Count; i++)
        {
            TensorSpec tensor = tensors[i];
            GgufValueWriter.WriteString(writer, tensor.Name);
            writer.Write((uint)tensor.Shape.Length);
            foreach (int dimension in tensor.Shape.Reverse())
                writer.Write((ulong)dimension);
            writer.Write(GgufTensorType.Number(tensor.Format));
            writer.Write((ulong)length);
            offsets[i] = length;
            length += Aligned(tensor.ByteCount);
        }

        writer.Write(new byte[Aligned(header.Length) - header.Length]);
        long data = header.Length;
        return new TensorFileLayout(
            header.ToArray(), [.. tensors.Zip(offsets, (tensor, offset) => (tensor, data + offset))], data + length);
    }

    private static long Aligned(long length) =>
        (length + GgufHeader.DefaultAlignment - 1) / GgufHeader.DefaultAlignment * GgufHeader.DefaultAlignment;
}
