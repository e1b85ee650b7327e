using System.Text;
using Llama3Cluster.Shards.Files.Gguf;

namespace Llama3Cluster.Shards.Synthesis;

/// <summary>Lays out a GGUF file of version 3: metadata is added key by key, then the tensors give the layout.</summary>
internal sealed class GgufWriter
{
    private const uint Version = 3;
    private const uint UInt32Type = 4, Int32Type = 5, Float32Type = 6, StringType = 8, ArrayType = 9;

    private readonly List<Action<BinaryWriter>> _pairs = [];

    public void Add(string key, string value) => Add(key, StringType, writer => WriteString(writer, value));

    public void Add(string key, uint value) => Add(key, UInt32Type, writer => writer.Write(value));

    public void Add(string key, float value) => Add(key, Float32Type, writer => writer.Write(value));

    public void Add(string key, IReadOnlyCollection<string> values) => AddArray(key, StringType, values, WriteString);

    public void Add(string key, IReadOnlyCollection<int> values) => AddArray(key, Int32Type, values, (writer, value) => writer.Write(value));

    /// <summary>Ends the file's header with a directory of tensors and places them.</summary>
    public TensorFileLayout Layout(IReadOnlyList<TensorSpec> tensors)
    {
        using var header = new MemoryStream();
        using var writer = new BinaryWriter(header);
        writer.Write(GgufHeader.Magic);
        writer.Write(Version);
        writer.Write((ulong)tensors.Count);
        writer.Write((ulong)_pairs.Count);
        _pairs.ForEach(write => write(writer));

        var offsets = new long[tensors.Count];
        long length = 0;
        for (int i = 0; i < tensors.Count; i++)
        {
            TensorSpec tensor = tensors[i];
            WriteString(writer, tensor.Name);
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

    private static void WriteString(BinaryWriter writer, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        writer.Write((ulong)bytes.Length);
        writer.Write(bytes);
    }

    private void Add(string key, uint type, Action<BinaryWriter> writeValue) => _pairs.Add(writer =>
    {
        WriteString(writer, key);
        writer.Write(type);
        writeValue(writer);
    });

    private void AddArray<T>(string key, uint elementType, IReadOnlyCollection<T> values, Action<BinaryWriter, T> write) =>
        Add(key, ArrayType, writer =>
        {
            writer.Write(elementType);
            writer.Write((ulong)values.Count);
            foreach (T value in values)
                write(writer, value);
        });
}
