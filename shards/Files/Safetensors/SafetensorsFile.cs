using System.Buffers.Binary;
using System.Text.Json;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Shards.Files.Safetensors;

/// <summary>
/// One mapped .safetensors file: an eight-byte header length, a JSON directory, then the tensors' bytes. Holes between tensors are
/// taken, as writers leave them for alignment; bytes after the last tensor are not, as the format forbids them.
/// </summary>
internal sealed class SafetensorsFile : IDisposable
{
    private const int LengthBytes = sizeof(ulong);
    private const int HeaderLimit = 100 << 20;
    private const int RankLimit = 8;
    private const int NameLimit = 1024;
    private const string MetadataKey = "__metadata__";

    private static readonly Dictionary<string, int> ElementBytes = new()
    {
        ["BOOL"] = 1,
        ["U8"] = 1,
        ["I8"] = 1,
        ["F8_E4M3"] = 1,
        ["F8_E5M2"] = 1,
        ["F8_E8M0"] = 1,
        ["I16"] = 2,
        ["U16"] = 2,
        ["F16"] = 2,
        ["BF16"] = 2,
        ["I32"] = 4,
        ["U32"] = 4,
        ["F32"] = 4,
        ["I64"] = 8,
        ["U64"] = 8,
        ["F64"] = 8,
        ["C64"] = 8,
    };

    private SafetensorsFile(MappedFile file, IReadOnlyDictionary<string, TensorEntry> tensors)
    {
        File = file;
        Tensors = tensors;
    }

    /// <summary>The file's bytes.</summary>
    public MappedFile File { get; }

    /// <summary>The tensors by name, each inside the file and apart from all others.</summary>
    public IReadOnlyDictionary<string, TensorEntry> Tensors { get; }

    /// <summary>Opens a file and checks its directory.</summary>
    /// <exception cref="ModelFileException">It cannot be read or is damaged.</exception>
    public static SafetensorsFile Open(string path)
    {
        MappedFile file = MappedFile.Open(path);
        try
        {
            return new SafetensorsFile(file, ReadDirectory(file));
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => File.Dispose();

    private static Dictionary<string, TensorEntry> ReadDirectory(MappedFile file)
    {
        if (file.Length < LengthBytes)
            throw new ModelFileException($"{file.Path} is not a safetensors file: it has {file.Length} bytes, "
                + $"and the length of its header takes {LengthBytes}");
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(file.Bytes(0, LengthBytes));
        if (length > HeaderLimit)
            throw new ModelFileException($"{file.Path} is not a safetensors file: it states a header of {length} bytes; "
                + $"at most {HeaderLimit} are read");
        if (length > (ulong)file.Length - LengthBytes)
            throw new ModelFileException($"{file.Path} is cut off: its header has {length} bytes, "
                + $"and {file.Length - LengthBytes} follow");
        byte[] json = file.Bytes(LengthBytes, (int)length).ToArray();
        if (length == 0 || json[0] != (byte)'{')
            throw new ModelFileException($"{file.Path} is not a safetensors file: its header does not start with a brace");

        using JsonDocument header = JsonFile.Parse($"the header of {file.Path}", json);
        long data = LengthBytes + (long)length;
        var tensors = new Dictionary<string, TensorEntry>();
        foreach (JsonProperty property in header.RootElement.EnumerateObject())
        {
            string name = property.NameText(file.Path);
            if (name == MetadataKey)
                RequireTextMap(file.Path, property.Value);
            else
                tensors.Add(name, ReadTensor(file, name, property.Value, data));
        }

        TensorEntry.RequireDisjoint(file.Path, tensors.Values);
        long end = tensors.Values.Select(t => t.Offset + t.ByteCount).DefaultIfEmpty(data).Max();
        if (end != file.Length)
            throw new ModelFileException($"{file.Path} has {file.Length - end} bytes after its last tensor; "
                + "something else was appended to it");
        return tensors;
    }

    private static TensorEntry ReadTensor(MappedFile file, string name, JsonElement stated, long data)
    {
        if (name.Length is 0 or > NameLimit)
            throw new ModelFileException($"{file.Path} is damaged: a tensor's name has {name.Length} characters; "
                + $"it must have 1 to {NameLimit}");
        string type = Member(file.Path, name, stated, "dtype").Text(file.Path, $"the dtype of tensor {name}");
        long[] shape = Numbers(file.Path, name, "shape", Member(file.Path, name, stated, "shape"), RankLimit);
        long[] range = Numbers(file.Path, name, "data_offsets", Member(file.Path, name, stated, "data_offsets"), 2);
        if (!ElementBytes.TryGetValue(type, out int elementBytes))
            throw new ModelFileException($"{file.Path}: tensor {name} has elements of type {type}, which is not supported; "
                + "convert the model to BF16, F16 or F32");
        if (range is not [long begin, long end] || begin > end)
            throw new ModelFileException($"{file.Path} is damaged: tensor {name} has data_offsets [{string.Join(", ", range)}]; "
                + "they must be a begin and an end after it");
        if (end > file.Length - data)
            throw new ModelFileException($"{file.Path} is damaged: tensor {name} ends at {end} of {file.Length - data} bytes of "
                + "data; "
                + "if it was downloaded, the download may be incomplete");

        UInt128 bytes = (uint)elementBytes;
        foreach (long dimension in shape)
        {
            // Eight dimensions can overflow even 128 bits, so the product stops growing once the file cannot hold it.
            bytes = bytes > (UInt128)file.Length ? bytes : bytes * (UInt128)dimension;
        }

        if (shape.Contains(0))
            bytes = 0;
        if (bytes != (UInt128)(end - begin))
            throw new ModelFileException($"{file.Path} is damaged: tensor {name} is [{string.Join(", ", shape)}] of {type}, "
                + $"but has {end - begin} bytes");
        WeightFormat? format = Enum.TryParse(type, out WeightFormat known) ? known : null;
        return new TensorEntry(name, type, format, shape, file, data + begin, end - begin);
    }

    private static JsonElement Member(string path, string tensor, JsonElement stated, string member) =>
        stated.ValueKind == JsonValueKind.Object && stated.TryGetProperty(member, out JsonElement value)
            ? value
            : throw new ModelFileException($"{path} is damaged: tensor {tensor} has no {member}");

    private static long[] Numbers(string path, string tensor, string member, JsonElement value, int limit)
    {
        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() > limit)
            throw new ModelFileException($"{path} is damaged: the {member} of tensor {tensor} is {JsonFile.Shown(value)}, "
                + $"not an array of at most {limit} numbers");
        return [.. value.EnumerateArray().Select(item =>
            item.ValueKind == JsonValueKind.Number && item.TryGetInt64(out long number) && number >= 0
                ? number
                : throw new ModelFileException($"{path} is damaged: the {member} of tensor {tensor} has {JsonFile.Shown(item)}, "
                    + "not a whole number from 0 to 2^63 - 1"))];
    }

    private static void RequireTextMap(string path, JsonElement metadata)
    {
        bool texts = metadata.ValueKind == JsonValueKind.Object
            && metadata.EnumerateObject().All(p => p.Value.ValueKind == JsonValueKind.String);
        if (!texts)
            throw new ModelFileException($"{path} is damaged: {MetadataKey} is {JsonFile.Shown(metadata)}, "
                + "not an object of strings");
    }
}
