using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Files.Partial;
using Llama3Cluster.Shards.Quantization;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Shards.Tests.Files.Partial;

/// <summary>Copies of part of a model: which bytes they need, and that what is there stays right.</summary>
public sealed class PartialModelTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("safetensors")]
    [InlineData("gguf")]
    public void A_copy_of_the_opening_bytes_and_samples_must_open_with_the_same_fingerprint(string kind)
    {
        using ModelFile whole = Open(kind);
        using PartialModelStore store = NewStore(whole);

        Copy(whole, store, whole.Layout.Opening);
        using ModelFile copy = ModelFile.Open(store.ModelPath);
        Copy(whole, store, copy.Layout.Samples);

        Assert.Equal(whole.Fingerprint, copy.Fingerprint);
        Assert.True(store.HeldBytes < store.ModelBytes / 2, $"{store.HeldBytes} of {store.ModelBytes}");
        Assert.Equal(whole.Layout.ByteCount, store.ModelBytes);
    }

    [Theory]
    [InlineData("safetensors", 1)]
    [InlineData("safetensors", 3)]
    [InlineData("gguf", 2)]
    public void The_bytes_of_a_slice_must_be_all_that_loading_it_reads(string kind, int stages)
    {
        using ModelFile whole = Open(kind);
        foreach (SliceRange slice in SliceRange.Split(whole.Config.LayerCount, stages))
        {
            using PartialModelStore store = NewStore(whole);
            Copy(whole, store, whole.Layout.Opening);
            using ModelFile copy = ModelFile.Open(store.ModelPath);

            Copy(whole, store, copy.Layout.Of(slice));

            Assert.Equal(ModelSlice.BytesOf(whole, slice), copy.Layout.Of(slice).Sum(extent => extent.Count));
            for (int layer = slice.First; layer < slice.Last; layer++)
            {
                for (TensorRole role = TensorRole.AttentionNorm; role <= TensorRole.Down; role++)
                    AssertSame(whole.Tensor(role, layer), copy.Tensor(role, layer));
            }

            if (slice.HasEmbedding)
                AssertSame(whole.Tensor(TensorRole.TokenEmbedding), copy.Tensor(TensorRole.TokenEmbedding));
            if (slice.HasHead)
                AssertSame(whole.Tensor(TensorRole.OutputHead), copy.Tensor(TensorRole.OutputHead));
        }
    }

    [Fact]
    public void What_was_copied_must_be_there_after_a_restart()
    {
        using ModelFile whole = Open("gguf");
        ModelPiece[] pieces = Pieces(whole);
        using (PartialModelStore store = NewStore(whole))
            Copy(whole, store, whole.Layout.Opening);

        using PartialModelStore again = PartialModelStore.Open(_folder.Path, whole.Fingerprint);

        Assert.True(again.IsCreated);
        Assert.All(pieces, piece => Assert.True(again.Verify(piece)));
        using ModelFile copy = ModelFile.Open(again.ModelPath);
        Assert.Equal(whole.Config.HiddenSize, copy.Config.HiddenSize);
    }

    [Fact]
    public void A_journal_that_is_cut_off_anywhere_must_cost_only_what_it_lacks()
    {
        using ModelFile whole = Open("gguf");
        ModelPiece[] pieces = Pieces(whole);
        string journal;
        using (PartialModelStore store = NewStore(whole))
        {
            Copy(whole, store, whole.Layout.Opening);
            journal = Path.Combine(store.Folder, "pieces.txt");
        }

        string text = File.ReadAllText(journal);
        for (int length = text.Length; length >= 0; length -= 7)
        {
            File.WriteAllText(journal, text[..length]);
            using PartialModelStore store = PartialModelStore.Open(_folder.Path, whole.Fingerprint);
            if (!store.IsCreated)
            {
                Assert.True(length < text.IndexOf("have", StringComparison.Ordinal));
                return; // not even the files are known: it begins anew
            }

            foreach (ModelPiece piece in pieces.Where(piece => !store.Verify(piece)))
                store.Write(piece, Read(whole, piece));
            Assert.All(pieces, piece => Assert.True(store.Verify(piece)));
        }
    }

    [Fact]
    public void A_piece_that_the_disk_has_changed_must_not_be_taken_for_good()
    {
        using ModelFile whole = Open("gguf");
        using PartialModelStore store = NewStore(whole);
        Copy(whole, store, whole.Layout.Opening);
        ModelPiece piece = Pieces(whole)[0];
        using (var file = new FileStream(Path.Combine(store.Folder, "model.gguf"), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite))
        {
            file.Position = piece.Offset + (piece.Count / 2);
            int before = file.ReadByte();
            file.Position--;
            file.WriteByte((byte)~before);
        }

        Assert.False(store.Verify(piece));

        store.Write(piece, Read(whole, piece));
        Assert.True(store.Verify(piece));
    }

    [Fact]
    public void Two_processes_must_not_share_a_copy()
    {
        using ModelFile whole = Open("gguf");
        using PartialModelStore first = NewStore(whole), second = NewStore(whole);

        Assert.NotEqual(first.Folder, second.Folder);
    }

    [Theory]
    [InlineData("../model.gguf", 100)]
    [InlineData("a/b", 100)]
    [InlineData(".hidden", 100)]
    [InlineData("pieces.txt", 100)]
    [InlineData("lock", 100)]
    [InlineData("", 100)]
    [InlineData("model.gguf", 0)]
    [InlineData("model.gguf", -1)]
    [InlineData("model.gguf", long.MaxValue)]
    public void Files_that_cannot_be_must_be_refused(string name, long length)
    {
        using PartialModelStore store = PartialModelStore.Open(_folder.Path, new string('a', 64));

        Assert.Throws<ModelFileException>(() => store.Create([(name, length)], name));
    }

    [Theory]
    [InlineData(-1, 0, 10)]
    [InlineData(1, 0, 10)]
    [InlineData(0, -1, 10)]
    [InlineData(0, 91, 10)]
    [InlineData(0, long.MaxValue, 10)]
    public void A_piece_outside_its_file_must_be_refused(int file, long offset, int count)
    {
        using PartialModelStore store = PartialModelStore.Open(_folder.Path, new string('a', 64));
        store.Create([("model.gguf", 100)], "model.gguf");

        Assert.Throws<ModelFileException>(() => store.Write(new ModelPiece(file, offset, count), new byte[count]));
        Assert.False(store.Verify(new ModelPiece(file, offset, count)));
    }

    private ModelFile Open(string kind)
    {
        if (kind == "safetensors")
            return ModelFile.Open(SharedModels.Demo);
        string path = _folder.At("whole.gguf");
        using ModelFile demo = ModelFile.Open(SharedModels.Demo);
        if (!File.Exists(path))
            ModelQuantizer.Write(demo, new QuantizationOptions { Type = WeightFormat.F32, Output = path, Threads = 1 });
        return ModelFile.Open(path);
    }

    private PartialModelStore NewStore(ModelFile whole)
    {
        var store = PartialModelStore.Open(_folder.Path, whole.Fingerprint);
        if (!store.IsCreated)
            store.Create([.. whole.Layout.Files.Select(file => (file.Name, file.Length))], whole.Layout.OpenAs);
        return store;
    }

    private static ModelPiece[] Pieces(ModelFile whole) => [.. whole.Layout.Opening.SelectMany(ModelPiece.Cut)];

    private static void Copy(ModelFile whole, PartialModelStore store, IReadOnlyList<FileExtent> extents)
    {
        foreach (ModelPiece piece in extents.SelectMany(ModelPiece.Cut))
            store.Write(piece, Read(whole, piece));
    }

    private static byte[] Read(ModelFile whole, ModelPiece piece)
    {
        using FileStream file = File.OpenRead(whole.Layout.Files[piece.File].Path);
        file.Position = piece.Offset;
        byte[] bytes = new byte[piece.Count];
        file.ReadExactly(bytes);
        return bytes;
    }

    private static void AssertSame(TensorData wanted, TensorData actual)
    {
        Assert.Equal((wanted.Format, wanted.Rows, wanted.Columns), (actual.Format, actual.Rows, actual.Columns));
        for (int row = 0; row < wanted.Rows; row++)
            Assert.True(wanted.Row(row).SequenceEqual(actual.Row(row)));
    }
}
