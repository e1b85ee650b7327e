using System.Globalization;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;

namespace Llama3Cluster.Shards.Files.Partial;

/// <summary>
/// A folder with a copy of part of a model: files of the model's lengths with holes where nothing was copied yet, and a journal
/// of the pieces that are there with their SHA-256. A piece is written before it is entered, and read back and compared before it
/// is used again, so that neither an interruption nor a disk that loses bytes makes a difference to what is computed. One process
/// has a folder at a time; another one takes the next folder of the same model.
/// </summary>
public sealed class PartialModelStore : IDisposable
{
    /// <summary>Most files that a model may have.</summary>
    public const int MostFiles = 4200;

    private const string JournalName = "pieces.txt";
    private const string LockName = "lock";
    private const long MostFileBytes = 1L << 46;
    private const int MostFolders = 64;

    private readonly FileStream _lock;
    private readonly Dictionary<ModelPiece, byte[]> _pieces = [];
    private readonly Lock _writing = new();
    private List<(string Name, long Length)> _files = [];
    private SafeFileHandle[] _handles = [];
    private StreamWriter? _journal;
    private string _openAs = "";

    private PartialModelStore(string folder, FileStream locked)
    {
        Folder = folder;
        _lock = locked;
    }

    /// <summary>Where it lies.</summary>
    public string Folder { get; }

    /// <summary>Whether the model's files have been made: <see cref="Create"/> is for stores where they have not.</summary>
    public bool IsCreated => _handles.Length > 0;

    /// <summary>What to open as a model.</summary>
    public string ModelPath => Path.GetFullPath(Path.Combine(Folder, _openAs));

    /// <summary>Bytes of the pieces that are there.</summary>
    public long HeldBytes
    {
        get
        {
            lock (_writing)
                return _pieces.Keys.Sum(piece => (long)piece.Count);
        }
    }

    /// <summary>Bytes of the whole model.</summary>
    public long ModelBytes => _files.Sum(file => file.Length);

    /// <summary>Opens the store of a model, with what an earlier process left in it.</summary>
    /// <param name="cache">Folder of all stores; made if it is missing.</param>
    /// <param name="fingerprint">The model's fingerprint.</param>
    /// <exception cref="ModelFileException">The folder cannot be written.</exception>
    public static PartialModelStore Open(string cache, string fingerprint)
    {
        if (fingerprint.Length < 16 || !fingerprint.All(char.IsAsciiLetterOrDigit))
            throw new ModelFileException($"\"{fingerprint}\" is not the fingerprint of a model");
        try
        {
            for (int number = 1; number <= MostFolders; number++)
            {
                string folder = Path.Combine(cache, number == 1 ? fingerprint : string.Create(CultureInfo.InvariantCulture, $"{fingerprint}-{number}"));
                Directory.CreateDirectory(folder);
                if (TryLock(folder) is not { } locked)
                    continue;
                var store = new PartialModelStore(folder, locked);
                store.ReadJournal();
                return store;
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ModelFileException($"the cache folder {cache} cannot be used: {error.Message} Give another one with --cache.", error);
        }

        throw new ModelFileException($"{MostFolders} processes use copies of this model in {cache}; give this one a folder of its own with --cache");
    }

    /// <summary>Makes the model's files, all holes.</summary>
    /// <exception cref="ModelFileException">A name or a length cannot be, or the disk has no room for so much.</exception>
    public void Create(IReadOnlyList<(string Name, long Length)> files, string openAs)
    {
        Require(files.Count is > 0 and <= MostFiles, $"{files.Count} files");
        Require(files.All(file => IsPlain(file.Name) && file.Length is > 0 and <= MostFileBytes), "a file's name or length");
        Require(files.Select(file => file.Name).Distinct().Count() == files.Count, "two files of one name");
        Require(openAs == "." || files.Any(file => file.Name == openAs), "the name to open");
        try
        {
            _files = [.. files];
            _openAs = openAs;
            OpenFiles();
            foreach ((string name, long length) in files)
                _journal!.WriteLine(string.Create(CultureInfo.InvariantCulture, $"file {length} {name}"));
            _journal!.WriteLine($"open {openAs}");
            _journal.Flush();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ModelFileException($"{Folder} cannot be written: {error.Message}", error);
        }
    }

    /// <summary>Requires that the disk has room for more bytes.</summary>
    /// <exception cref="ModelFileException">It has not.</exception>
    public void RequireRoom(long bytes)
    {
        long free = new DriveInfo(Path.GetFullPath(Folder)).AvailableFreeSpace;
        if (bytes > free)
            throw new ModelFileException($"{bytes} bytes of the model are to be copied to {Folder}, which has {free} free; make room or give another folder with --cache");
    }

    /// <summary>Whether a piece is there, its bytes read back and compared with what was received. A damaged one is forgotten.</summary>
    public bool Verify(ModelPiece piece)
    {
        byte[]? hash;
        lock (_writing)
        {
            if (!_pieces.TryGetValue(piece, out hash))
                return false;
        }

        byte[] bytes = new byte[piece.Count];
        if (RandomAccess.Read(_handles[piece.File], bytes, piece.Offset) == bytes.Length && SHA256.HashData(bytes).AsSpan().SequenceEqual(hash))
            return true;
        lock (_writing)
            _pieces.Remove(piece);
        return false;
    }

    /// <summary>Keeps a piece whose bytes were checked.</summary>
    /// <exception cref="ModelFileException">It lies outside its file, or cannot be written.</exception>
    public void Write(ModelPiece piece, ReadOnlySpan<byte> bytes)
    {
        Require((uint)piece.File < (uint)_files.Count && piece.Offset >= 0 && bytes.Length == piece.Count
            && piece.Offset <= _files[piece.File].Length - piece.Count, $"a piece of {piece.Count} bytes at {piece.Offset}");
        byte[] hash = SHA256.HashData(bytes);
        try
        {
            RandomAccess.Write(_handles[piece.File], bytes, piece.Offset);
            lock (_writing)
            {
                _pieces[piece] = hash;
                _journal!.WriteLine(string.Create(CultureInfo.InvariantCulture, $"have {piece.File} {piece.Offset} {piece.Count} {Convert.ToHexStringLower(hash)}"));
                _journal.Flush();
            }
        }
        catch (IOException error)
        {
            throw new ModelFileException($"{Folder} cannot be written: {error.Message}", error);
        }
    }

    /// <summary>Removes the files and everything that is known of them; the model must not be open.</summary>
    public void Clear()
    {
        CloseFiles();
        foreach (string file in Directory.GetFiles(Folder).Where(file => Path.GetFileName(file) != LockName))
            File.Delete(file);
        (_files, _openAs) = ([], "");
        _pieces.Clear();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        CloseFiles();
        _lock.Dispose();
    }

    private static FileStream? TryLock(string folder)
    {
        try
        {
            return new FileStream(Path.Combine(folder, LockName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException) when (File.Exists(Path.Combine(folder, LockName)))
        {
            return null; // another process has it
        }
    }

    // A line that makes no sense was being written when a process ended: its piece is copied again.
    private void ReadJournal()
    {
        string path = Path.Combine(Folder, JournalName);
        if (!File.Exists(path))
            return;
        var files = new List<(string, long)>();
        var pieces = new Dictionary<ModelPiece, byte[]>();
        foreach (string line in File.ReadLines(path))
        {
            string[] words = line.Split(' ');
            if (words is ["file", var length, var name] && long.TryParse(length, CultureInfo.InvariantCulture, out long bytes) && IsPlain(name) && bytes is > 0 and <= MostFileBytes)
                files.Add((name, bytes));
            else if (words is ["open", var openAs])
                _openAs = openAs;
            else if (ParsePiece(words, files) is (var piece, var hash))
                pieces[piece] = hash;
        }

        bool whole = files.Count > 0 && (_openAs == "." || files.Any(file => file.Item1 == _openAs))
            && files.All(file => new FileInfo(Path.Combine(Folder, file.Item1)) is { Exists: true } info && info.Length == file.Item2);
        if (!whole)
        {
            Clear();
            return;
        }

        _files = files;
        foreach ((ModelPiece piece, byte[] hash) in pieces)
            _pieces.Add(piece, hash);
        OpenFiles();
    }

    private static (ModelPiece Piece, byte[] Hash)? ParsePiece(string[] words, List<(string Name, long Length)> files)
    {
        CultureInfo culture = CultureInfo.InvariantCulture;
        if (words is not ["have", var file, var offset, var count, { Length: 64 } hash] || !hash.All(char.IsAsciiHexDigit)
            || !int.TryParse(file, culture, out int index) || !long.TryParse(offset, culture, out long first) || !int.TryParse(count, culture, out int bytes))
        {
            return null;
        }

        bool inside = index >= 0 && index < files.Count && bytes is > 0 and <= ModelPiece.MostBytes && first >= 0 && first <= files[index].Length - bytes;
        return inside ? (new ModelPiece(index, first, bytes), Convert.FromHexString(hash)) : null;
    }

    private void OpenFiles()
    {
        _journal = new StreamWriter(new FileStream(Path.Combine(Folder, JournalName), FileMode.Append, FileAccess.Write, FileShare.Read));
        _journal.WriteLine(); // ends a line that was cut off
        _handles = [.. _files.Select(file => File.OpenHandle(Path.Combine(Folder, file.Name), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite))];
        for (int i = 0; i < _files.Count; i++)
            RandomAccess.SetLength(_handles[i], _files[i].Length);
    }

    private void CloseFiles()
    {
        _journal?.Dispose();
        _journal = null;
        foreach (SafeFileHandle handle in _handles)
            handle.Dispose();
        _handles = [];
    }

    private static bool IsPlain(string name) => name.Length is > 0 and <= 255 && name[0] != '.' && name is not (JournalName or LockName)
        && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_');

    private static void Require(bool condition, string what)
    {
        if (!condition)
            throw new ModelFileException($"a copy of the model was described with what cannot be: {what}");
    }
}
