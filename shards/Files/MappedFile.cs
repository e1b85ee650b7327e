using System.IO.MemoryMappedFiles;

namespace Llama3Cluster.Shards.Files;

/// <summary>
/// A whole file mapped read-only. Every access is checked against the length at the time of mapping; a file that is truncated
/// by someone else afterwards cannot be guarded against. Numbers are little-endian, as both kinds of model file keep them.
/// </summary>
internal sealed unsafe class MappedFile : IDisposable
{
    private readonly MemoryMappedFile _mapping;
    private readonly MemoryMappedViewAccessor _view;
    private readonly byte* _base;

    private MappedFile(string path, long length, MemoryMappedFile mapping, MemoryMappedViewAccessor view)
    {
        Path = path;
        Length = length;
        _mapping = mapping;
        _view = view;
        byte* address = null;
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref address);
        _base = address + view.PointerOffset;
    }

    /// <summary>The file's path, for messages.</summary>
    public string Path { get; }

    /// <summary>Bytes in the file.</summary>
    public long Length { get; }

    /// <summary>Whether it has been unmapped.</summary>
    public bool IsDisposed { get; private set; }

    /// <summary>Maps a file.</summary>
    /// <exception cref="ModelFileException">It does not exist, is empty or cannot be read.</exception>
    public static MappedFile Open(string path)
    {
        FileStream? stream = null;
        MemoryMappedFile? mapping = null;
        MemoryMappedViewAccessor? view = null;
        try
        {
            // A partial copy of a model is written to, where it still has holes, while it is mapped.
            stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
            long length = stream.Length;
            if (length == 0)
                throw new ModelFileException($"{path} is empty");
            mapping = MemoryMappedFile.CreateFromFile(
                stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
            view = mapping.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
            if (view.Capacity < length)
                throw new ModelFileException($"{path} shrank from {length} to {view.Capacity} bytes while it was opened");
            return new MappedFile(path, length, mapping, view);
        }
        catch (Exception e)
        {
            view?.Dispose();
            mapping?.Dispose();
            stream?.Dispose();
            if (e is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
                throw new ModelFileException($"{path} cannot be read: {e.Message}", e);
            throw;
        }
    }

    /// <summary>A view of part of the file.</summary>
    /// <exception cref="ModelFileException">The part is not inside the file.</exception>
    public ReadOnlySpan<byte> Bytes(long offset, int count)
    {
        Require(offset, count);
        return new ReadOnlySpan<byte>(_base + offset, count);
    }

    /// <summary>The address of part of the file, valid until the mapping is disposed.</summary>
    /// <exception cref="ModelFileException">The part is not inside the file.</exception>
    public nint Address(long offset, long count)
    {
        Require(offset, count);
        return (nint)(_base + offset);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (IsDisposed)
            return;
        IsDisposed = true;
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _mapping.Dispose();
    }

    private void Require(long offset, long count)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        if (offset < 0 || count < 0 || offset > Length || count > Length - offset)
            throw new ModelFileException($"{Path}: {count} bytes at {offset} were asked for, but the file has {Length}");
    }
}
