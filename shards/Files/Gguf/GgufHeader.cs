using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Shards.Files.Gguf;

/// <summary>The metadata and the tensor directory of a GGUF file of version 2 or 3.</summary>
/// <param name="Metadata">Its key/value pairs.</param>
/// <param name="Tensors">Its tensors by name, each inside the file, aligned, and apart from all others.</param>
internal sealed record GgufHeader(GgufMetadata Metadata, IReadOnlyDictionary<string, TensorEntry> Tensors)
{
    /// <summary>"GGUF" as a little-endian number.</summary>
    public const uint Magic = 0x46554747;

    public const string AlignmentKey = "general.alignment";
    public const int DefaultAlignment = 32;

    private const int KeyLimit = 65535;
    private const int NameLimit = 255;
    private const int RankLimit = 4;
    private const int MaxAlignment = 1 << 16;

    // The shortest possible pair (length, one letter, type, one byte) and directory entry (length, one letter, rank, one
    // dimension, type, offset): counts are checked against them.
    private const int MinimumPairBytes = 14;
    private const int MinimumTensorBytes = 33;

    /// <summary>Reads and checks a header.</summary>
    /// <exception cref="ModelFileException">It is not a GGUF header, or a damaged one, or of a kind that is not supported.</exception>
    public static GgufHeader Read(MappedFile file)
    {
        var reader = new GgufReader(file);
        uint magic = reader.Read<uint>("the magic");
        if (magic != Magic)
            throw new ModelFileException($"{file.Path} is not a GGUF file: it starts with 0x{magic:x8}, not \"GGUF\"");
        uint version = reader.Read<uint>("the version");
        if ((version & 0xFFFF) == 0 && version != 0)
            throw new ModelFileException($"{file.Path} is a big-endian GGUF file; convert it to little-endian");
        if (version is not (2 or 3))
            throw new ModelFileException($"{file.Path} is GGUF version {version}; versions 2 and 3 are supported: "
                + "convert the model again");

        long tensorCount = reader.ReadCount(MinimumTensorBytes, "tensor");
        long pairCount = reader.ReadCount(MinimumPairBytes, "metadata pair");
        var values = new Dictionary<string, object>();
        for (long i = 0; i < pairCount; i++)
        {
            string key = reader.ReadName(KeyLimit, "metadata key");
            if (!values.TryAdd(key, reader.ReadValue(reader.Read<uint>(key), key)))
                throw reader.Damaged($"metadata key {key} appears twice");
        }

        var metadata = new GgufMetadata(file.Path, values);
        int alignment = Alignment(metadata, reader);
        var directory = new List<Stated>();
        for (long i = 0; i < tensorCount; i++)
            directory.Add(ReadTensor(reader, file.Path));

        long data = (reader.Position + alignment - 1) / alignment * alignment;
        var tensors = new Dictionary<string, TensorEntry>();
        foreach (Stated stated in directory)
        {
            if (!tensors.TryAdd(stated.Name, Place(stated, data, alignment, file, reader)))
                throw reader.Damaged($"tensor {stated.Name} appears twice");
        }

        TensorEntry.RequireDisjoint(file.Path, tensors.Values);
        return new GgufHeader(metadata, tensors);
    }

    private static int Alignment(GgufMetadata metadata, GgufReader reader)
    {
        long alignment = metadata.GetInteger(AlignmentKey) ?? DefaultAlignment;
        if (alignment < 8 || alignment > MaxAlignment || !long.IsPow2(alignment))
            throw reader.Damaged($"{AlignmentKey} is {alignment}; it must be a power of two from 8 to {MaxAlignment}");
        return (int)alignment;
    }

    private static Stated ReadTensor(GgufReader reader, string path)
    {
        string name = reader.ReadName(NameLimit, "tensor name");
        uint rank = reader.Read<uint>(name);
        if (rank is 0 or > RankLimit)
            throw reader.Damaged($"tensor {name} has {rank} dimensions; it must have 1 to {RankLimit}");
        var shape = new long[rank];
        UInt128 elements = 1;
        for (int i = (int)rank - 1; i >= 0; i--)
        {
            // The file lists the contiguous dimension first.
            ulong dimension = reader.Read<ulong>(name);
            if (dimension is 0 or > int.MaxValue)
                throw reader.Damaged($"tensor {name} has a dimension of {dimension}; it must be from 1 to {int.MaxValue}");
            shape[i] = (long)dimension;
            elements *= dimension;
        }

        uint type = reader.Read<uint>(name);
        ulong offset = reader.Read<ulong>(name);
        if (GgufTensorType.Format(type, out string typeName) is not WeightFormat format)
            throw new ModelFileException($"{path}: tensor {name} has elements of type {typeName}, which is not supported; "
                + $"quantize the model to one of {string.Join(", ", Enum.GetNames<WeightFormat>())}");
        int block = format.ElementsPerBlock();
        if (shape[^1] % block != 0)
            throw reader.Damaged($"tensor {name} has rows of {shape[^1]} elements, "
                + $"not a whole number of {format} blocks of {block}");

        // Four dimensions below 2^31 make at most 2^124 elements and 2^126 bytes, which cannot overflow.
        return new Stated(name, format, shape, elements / (uint)block * (uint)format.BytesPerBlock(), offset);
    }

    private static TensorEntry Place(Stated stated, long data, int alignment, MappedFile file, GgufReader reader)
    {
        if (stated.Offset % (ulong)alignment != 0)
            throw reader.Damaged($"tensor {stated.Name} is at offset {stated.Offset}, "
                + $"not a multiple of the alignment {alignment}");
        UInt128 end = (UInt128)data + stated.Offset + stated.Bytes;
        if (end > (UInt128)file.Length)
            throw reader.Damaged($"tensor {stated.Name} ({stated.Bytes} bytes at {(UInt128)data + stated.Offset}) ends past the "
                + $"file's {file.Length} bytes; "
                + "if it was downloaded, the download may be incomplete");
        return new TensorEntry(
            stated.Name, stated.Format.ToString(), stated.Format, stated.Shape, file, data + (long)stated.Offset, (long)stated.Bytes);
    }

    /// <summary>A directory entry before it is known where the data starts.</summary>
    private readonly record struct Stated(string Name, WeightFormat Format, long[] Shape, UInt128 Bytes, ulong Offset);
}
