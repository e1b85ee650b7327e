using System.Runtime.InteropServices;
using System.Text;

namespace Llama3Cluster.Shards.Files.Gguf;

/// <summary>
/// Reads a GGUF header from front to back. Every length is compared with what is left of the header before anything is allocated
/// for it, so a file can make the reader allocate only in proportion to its own size.
/// </summary>
internal sealed class GgufReader
{
    private const long HeaderLimit = 256L << 20;
    private const int StringLimit = 16 << 20;
    private const int ArrayDepthLimit = 4;

    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    private readonly MappedFile _file;
    private readonly long _end;

    public GgufReader(MappedFile file)
    {
        _file = file;
        _end = Math.Min(file.Length, HeaderLimit);
    }

    /// <summary>The next byte to read.</summary>
    public long Position { get; private set; }

    /// <summary>Reads a fixed-size number.</summary>
    public T Read<T>(string what)
        where T : unmanaged => MemoryMarshal.Read<T>(Take((ulong)Marshal.SizeOf<T>(), what));

    /// <summary>Reads a count of things of at least <paramref name="minimumBytes"/> each, which what is left must have room for.</summary>
    public long ReadCount(int minimumBytes, string what)
    {
        ulong count = Read<ulong>(what);
        if (count > (ulong)((_end - Position) / minimumBytes))
            throw Damaged($"{count} {what}s of at least {minimumBytes} bytes do not fit into the {_end - Position} bytes that "
                + "are left");
        return (long)count;
    }

    /// <summary>Reads a name: a key or a tensor's. It must be valid UTF-8 of 1 to <paramref name="limit"/> bytes.</summary>
    public string ReadName(int limit, string what)
    {
        ulong length = Read<ulong>(what);
        if (length == 0 || length > (ulong)limit)
            throw Damaged($"a {what} has {length} bytes; it must have 1 to {limit}");
        try
        {
            return StrictUtf8.GetString(Take(length, what));
        }
        catch (DecoderFallbackException e)
        {
            throw new ModelFileException($"{_file.Path}: a {what} before byte {Position} is not UTF-8", e);
        }
    }

    /// <summary>Reads a value of the given type number as its .NET counterpart: a number, bool, string, or an array of them.</summary>
    public object ReadValue(uint type, string key, int depth = 0) => type switch
    {
        0 => Read<byte>(key),
        1 => Read<sbyte>(key),
        2 => Read<ushort>(key),
        3 => Read<short>(key),
        4 => Read<uint>(key),
        5 => Read<int>(key),
        6 => Read<float>(key),
        7 => ReadBoolean(key),
        8 => ReadString(key),
        9 => ReadArray(key, depth),
        10 => Read<ulong>(key),
        11 => Read<long>(key),
        12 => Read<double>(key),
        _ => throw Damaged($"the value of {key} has type {type}; GGUF has types 0 to 12"),
    };

    private object ReadArray(string key, int depth)
    {
        if (depth == ArrayDepthLimit)
            throw Damaged($"the value of {key} nests arrays more than {ArrayDepthLimit} deep");
        uint type = Read<uint>(key);
        ulong count = Read<ulong>(key);
        return type switch
        {
            0 => ReadNumbers<byte>(count, key),
            1 => ReadNumbers<sbyte>(count, key),
            2 => ReadNumbers<ushort>(count, key),
            3 => ReadNumbers<short>(count, key),
            4 => ReadNumbers<uint>(count, key),
            5 => ReadNumbers<int>(count, key),
            6 => ReadNumbers<float>(count, key),
            7 => ReadEach(count, 1, key, ReadBoolean),
            8 => ReadEach(count, sizeof(ulong), key, ReadString),
            9 => ReadEach(count, sizeof(uint) + sizeof(ulong), key, inner => ReadArray(inner, depth + 1)),
            10 => ReadNumbers<ulong>(count, key),
            11 => ReadNumbers<long>(count, key),
            12 => ReadNumbers<double>(count, key),
            _ => throw Damaged($"the array {key} has elements of type {type}; GGUF has types 0 to 12"),
        };
    }

    private T[] ReadNumbers<T>(ulong count, string key)
        where T : unmanaged
    {
        RequireRoom(count, Marshal.SizeOf<T>(), key);
        return MemoryMarshal.Cast<byte, T>(Take(count * (ulong)Marshal.SizeOf<T>(), key)).ToArray();
    }

    private T[] ReadEach<T>(ulong count, int minimumBytes, string key, Func<string, T> read)
    {
        RequireRoom(count, minimumBytes, key);
        var values = new T[count];
        for (int i = 0; i < values.Length; i++)
            values[i] = read(key);
        return values;
    }

    private bool ReadBoolean(string key)
    {
        byte value = Read<byte>(key);
        return value <= 1 ? value == 1 : throw Damaged($"the value of {key} is a boolean of {value}; it must be 0 or 1");
    }

    // Text is decoded leniently: a description in another encoding is no reason to refuse the weights.
    private string ReadString(string key)
    {
        ulong length = Read<ulong>(key);
        if (length > StringLimit)
            throw Damaged($"a string of {key} has {length} bytes; at most {StringLimit} are read");
        return Encoding.UTF8.GetString(Take(length, key));
    }

    private void RequireRoom(ulong count, int bytes, string key)
    {
        if (count > (ulong)((_end - Position) / bytes))
            throw Damaged($"the array {key} has {count} elements of at least {bytes} bytes, "
                + $"but {_end - Position} bytes are left");
    }

    private ReadOnlySpan<byte> Take(ulong count, string what)
    {
        if (count > (ulong)(_end - Position))
            throw Damaged($"{what} takes {count} bytes at {Position}, but {_end - Position} are left"
                + (_end < _file.Length ? $" of the {HeaderLimit} that a header may have" : ""));
        ReadOnlySpan<byte> bytes = _file.Bytes(Position, (int)count);
        Position += (long)count;
        return bytes;
    }

    /// <summary>The error for a header that contradicts itself.</summary>
    public ModelFileException Damaged(string message) => new($"{_file.Path} is damaged: {message}");
}
