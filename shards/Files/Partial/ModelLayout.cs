using Llama3Cluster.Shards.Config;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Shards.Files.Partial;

/// <summary>A file of a model.</summary>
/// <param name="Name">Its plain name, under which a copy of it opens.</param>
/// <param name="Path">Where it lies.</param>
/// <param name="Length">Its bytes.</param>
public sealed record LayoutFile(string Name, string Path, long Length);

/// <summary>Part of a model's file.</summary>
/// <param name="File">Index of the file in <see cref="ModelLayout.Files"/>.</param>
/// <param name="Offset">Its first byte.</param>
/// <param name="Count">Its bytes.</param>
public readonly record struct FileExtent(int File, long Offset, long Count);

/// <summary>
/// Where a model's bytes lie, for those who copy part of it: a copy that has the bytes of <see cref="Opening"/> and
/// <see cref="Samples"/> at their places, and holes elsewhere, opens and has the model's fingerprint; with those of a slice it
/// can load the slice.
/// </summary>
public sealed class ModelLayout
{
    private readonly LlamaConfig _config;
    private readonly Dictionary<(TensorRole Role, int Layer), FileExtent> _tensors;

    private ModelLayout(LlamaConfig config, string openAs, IReadOnlyList<LayoutFile> files, IReadOnlyList<FileExtent> opening,
        Dictionary<(TensorRole Role, int Layer), FileExtent> tensors)
    {
        _config = config;
        _tensors = tensors;
        OpenAs = openAs;
        Files = files;
        Opening = opening;
    }

    /// <summary>What to open in a folder with a copy: a file's name, or "." for the folder itself.</summary>
    public string OpenAs { get; }

    /// <summary>The files that make up the model.</summary>
    public IReadOnlyList<LayoutFile> Files { get; }

    /// <summary>The bytes that opening reads.</summary>
    public IReadOnlyList<FileExtent> Opening { get; }

    /// <summary>Bytes of all files.</summary>
    public long ByteCount => Files.Sum(file => file.Length);

    /// <summary>The bytes of the tensors' samples that the fingerprint is taken from.</summary>
    public IReadOnlyList<FileExtent> Samples =>
        [.. _tensors.Values.SelectMany(tensor => ModelFingerprint.SampleOffsets(tensor.Count).Select(
            offset => tensor with { Offset = tensor.Offset + offset, Count = Math.Min(ModelFingerprint.SampleBytes, tensor.Count) }))];

    /// <summary>The bytes of a slice's weights.</summary>
    public IReadOnlyList<FileExtent> Of(SliceRange slice)
    {
        var extents = new List<FileExtent>();
        if (slice.HasEmbedding)
            extents.Add(_tensors[(TensorRole.TokenEmbedding, 0)]);
        for (int layer = slice.First; layer < slice.Last; layer++)
        {
            for (TensorRole role = TensorRole.AttentionNorm; role <= TensorRole.Down; role++)
                extents.Add(_tensors[(role, layer)]);
        }

        if (slice.HasHead)
        {
            extents.Add(_tensors[(TensorRole.OutputNorm, 0)]);
            extents.Add(_tensors[(_config.TiedHead ? TensorRole.TokenEmbedding : TensorRole.OutputHead, 0)]);
        }

        return [.. extents.Distinct()];
    }

    /// <summary>The layout of a model.</summary>
    /// <param name="config">Its shape.</param>
    /// <param name="openAs">What to open in a copy.</param>
    /// <param name="wholeFiles">Files that opening reads from end to end: name and path.</param>
    /// <param name="tensorFiles">Files with tensors, by the name under which a copy of them opens, and every tensor in each.</param>
    /// <param name="required">The tensors that opening reads.</param>
    /// <param name="entryOf">Where each tensor of the model is.</param>
    internal static ModelLayout Of(
        LlamaConfig config, string openAs, IEnumerable<(string Name, string Path)> wholeFiles,
        IReadOnlyList<(string Name, MappedFile File, IEnumerable<TensorEntry> Tensors)> tensorFiles, IEnumerable<TensorEntry> required,
        Func<TensorRole, int, TensorEntry> entryOf)
    {
        var files = new List<LayoutFile>();
        var opening = new List<FileExtent>();
        var indices = new Dictionary<MappedFile, int>();
        foreach ((string name, string path) in wholeFiles)
        {
            long length = new FileInfo(path).Length;
            opening.Add(new FileExtent(files.Count, 0, length));
            files.Add(new LayoutFile(name, path, length));
        }

        foreach ((string name, MappedFile file, IEnumerable<TensorEntry> tensors) in tensorFiles)
        {
            indices.Add(file, files.Count);
            opening.Add(new FileExtent(files.Count, 0, tensors.Select(tensor => tensor.Offset).DefaultIfEmpty(file.Length).Min()));
            files.Add(new LayoutFile(name, file.Path, file.Length));
        }

        FileExtent ExtentOf(TensorEntry entry) => new(indices[entry.File], entry.Offset, entry.ByteCount);
        opening.AddRange(required.Select(ExtentOf));
        return new ModelLayout(
            config, openAs, files, opening, TensorShapes.Required(config).ToDictionary(key => key, key => ExtentOf(entryOf(key.Role, key.Layer))));
    }
}
