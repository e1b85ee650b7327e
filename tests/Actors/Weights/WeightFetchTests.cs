using System.Net;
using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Actors.Security;
using Llama3Cluster.Actors.Tests.Security;
using Llama3Cluster.Actors.Weights;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Files.Partial;
using Llama3Cluster.Shards.Slices;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Llama3Cluster.Actors.Tests.Weights;

/// <summary>A node without a model's files gets what it needs from nodes that have them, and nothing else.</summary>
public sealed class WeightFetchTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("llama3cluster-test-");
    private readonly TestAuthority _authority = new();
    private readonly List<IDisposable> _open = [];
    private readonly RefusedPeers _refused = new(NullLogger.Instance);
    private readonly Lines _log = new();
    private readonly ModelFile _whole = ModelFile.Open(Demo);

    private static string Demo => Path.Combine(Root(), "models", "demo");

    private string Cache => Path.Combine(_folder.FullName, "cache");

    private LinkOptions Options => new()
    {
        ClusterName = "test",
        ModelFingerprint = _whole.Fingerprint,
        Pool = new FramePool(),
        Secret = "a secret of the cluster"u8.ToArray(),
        Tls = _authority.Node(),
        Refused = _refused,
        HandshakeDeadline = TimeSpan.FromSeconds(2),
    };

    public void Dispose()
    {
        _open.ForEach(open => open.Dispose());
        _whole.Dispose();
        _authority.Dispose();
        _folder.Delete(recursive: true);
    }

    [Fact]
    public void Only_the_bytes_of_the_slice_must_come_and_be_those_of_the_model()
    {
        WeightMessages.WeightSource gateway = Serve(_whole, isGateway: true);
        SliceRange slice = SliceRange.Split(_whole.Config.LayerCount, 4)[1];
        using PartialModel partial = Open(gateway);
        long opening = partial.ReceivedBytes;

        (long sliceBytes, long fetched) = Ensure(partial, slice, gateway);

        Assert.Equal(ModelSlice.BytesOf(_whole, slice), sliceBytes);
        Assert.InRange(fetched, 1, sliceBytes); // less, where a sample was a tensor
        Assert.Equal(opening + fetched, partial.ReceivedBytes);
        Assert.True(partial.ReceivedBytes < partial.ModelBytes / 2, $"{partial.ReceivedBytes} of {partial.ModelBytes}");
        AssertHas(partial, slice);
        Assert.Equal(_whole.Fingerprint, partial.Model.Fingerprint);
    }

    [Fact]
    public void What_is_there_must_not_come_again_in_this_run_or_the_next()
    {
        WeightMessages.WeightSource gateway = Serve(_whole, isGateway: true);
        SliceRange[] slices = SliceRange.Split(_whole.Config.LayerCount, 2);
        long first;
        using (PartialModel partial = Open(gateway))
        {
            first = Ensure(partial, slices[0], gateway).FetchedBytes;
            Assert.Equal(0, Ensure(partial, slices[0], gateway).FetchedBytes);
        }

        using PartialModel again = Open(gateway);

        Assert.True(first > 0);
        Assert.Equal(0, again.ReceivedBytes);
        Assert.Equal(0, Ensure(again, slices[0], gateway).FetchedBytes);
        Assert.True(Ensure(again, SliceRange.Whole(_whole.Config.LayerCount), gateway).FetchedBytes < ModelSlice.BytesOf(_whole, SliceRange.Whole(_whole.Config.LayerCount)));
        AssertHas(again, slices[1]);
    }

    [Fact]
    public void A_fetch_that_is_interrupted_must_go_on_where_it_was()
    {
        WeightMessages.WeightSource gateway = Serve(_whole, isGateway: true);
        SliceRange all = SliceRange.Whole(_whole.Config.LayerCount);
        long held;
        using (PartialModel partial = Open(gateway))
        {
            using var interruption = new CancellationTokenSource();
            var halfWay = new Reporter(fraction =>
            {
                if (fraction > 0.5)
                    interruption.Cancel();
            });
            Assert.Throws<OperationCanceledException>(() => partial.Ensure(all, Options, Known(gateway), halfWay, _log, interruption.Token));
            held = partial.HeldBytes;
            Assert.InRange(held, partial.ModelBytes / 4, partial.ModelBytes - 1);
        }

        using PartialModel again = Open(gateway);
        (long sliceBytes, long fetched) = Ensure(again, all, gateway);

        Assert.InRange(fetched, 1, sliceBytes - 1);
        AssertHas(again, all);
    }

    [Fact]
    public void Pieces_that_arrive_damaged_must_be_taken_from_another_node()
    {
        WeightMessages.WeightSource gateway = Serve(_whole, isGateway: true), node = Serve(Damaged(), isGateway: false);
        SliceRange all = SliceRange.Whole(_whole.Config.LayerCount);
        using PartialModel partial = Open(gateway);

        Ensure(partial, all, gateway, node);

        AssertHas(partial, all);
        Assert.Contains(_log.Texts, text => text.Contains("another node is asked", StringComparison.Ordinal) && text.Contains(node.Node, StringComparison.Ordinal));
    }

    [Fact]
    public void Pieces_that_nobody_gives_undamaged_must_be_refused_with_the_names()
    {
        WeightMessages.WeightSource gateway = Serve(_whole, isGateway: true), node = Serve(Damaged(), isGateway: false);
        SliceRange all = SliceRange.Whole(_whole.Config.LayerCount);
        using PartialModel partial = Open(gateway);
        var sources = Known(gateway, node);
        // The gateway goes away once it has told the hashes and some pieces have come.
        var reporter = new Reporter(fraction =>
        {
            if (fraction > 0.3)
                sources.Set([node]);
        });

        string message = Assert.Throws<ModelFileException>(() => partial.Ensure(all, Options, sources, reporter, _log, CancellationToken.None)).Message;

        Assert.Contains($"{node.Node}: ", message, StringComparison.Ordinal);
        Assert.Contains("have not the hash", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_source_that_has_gone_must_be_passed_over()
    {
        WeightMessages.WeightSource gateway = Serve(_whole, isGateway: true), gone = Serve(_whole, isGateway: false);
        _open[^1].Dispose();
        SliceRange slice = SliceRange.Split(_whole.Config.LayerCount, 2)[1];
        using PartialModel partial = Open(gateway);

        Ensure(partial, slice, gateway, gone);

        AssertHas(partial, slice);
    }

    [Fact]
    public void Nobody_must_be_an_error_that_says_what_to_do()
    {
        string message = Assert.Throws<ModelFileException>(() => Open()).Message;

        Assert.Contains("is a gateway up?", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_stranger_must_get_nothing()
    {
        WeightMessages.WeightSource gateway = Serve(_whole, isGateway: true);
        using var other = new TestAuthority();
        var endpoint = new IPEndPoint(IPAddress.Loopback, gateway.Port);

        foreach (LinkOptions stranger in (LinkOptions[])[Options with { Tls = null }, Options with { Tls = other.Node() }, Options with { Secret = "another"u8.ToArray() }, Options with { ModelFingerprint = new string('0', 64) }])
            Assert.ThrowsAny<Exception>(() => WeightConnection.Dial(endpoint, stranger with { Refused = null }));

        using var connection = WeightConnection.Dial(endpoint, Options);
        Assert.Equal(_whole.Layout.Files.Count, connection.Describe().Files.Count);
        while (_refused.Count < 3)
            Thread.Yield();
    }

    [Theory]
    [InlineData(99, 0, 10)]
    [InlineData(0, 0, ModelPiece.MostBytes + 1)]
    [InlineData(0, long.MaxValue, 10)]
    [InlineData(0, 1 << 20, 10)]
    public void Bytes_outside_the_model_must_be_refused(int file, long offset, int count)
    {
        WeightMessages.WeightSource gateway = Serve(_whole, isGateway: true);
        using var connection = WeightConnection.Dial(new IPEndPoint(IPAddress.Loopback, gateway.Port), Options);

        Assert.Throws<ProtocolException>(() => connection.Read(new ModelPiece(file, offset, count), new byte[count]));
        Assert.Throws<ProtocolException>(() => connection.Hashes(new FileExtent(file, offset, long.MaxValue)));
        Assert.NotEmpty(connection.Hashes(new FileExtent(0, 0, 10))); // and the connection goes on
    }

    [Fact]
    public void Requests_and_answers_that_make_no_sense_must_be_errors()
    {
        var random = new Random(5);
        for (int i = 0; i < 20_000; i++)
        {
            byte[] bytes = new byte[random.Next(0, 60)];
            random.NextBytes(bytes);
            if (bytes.Length > 0)
                bytes[0] = (byte)random.Next(0x90, 0x96);
            foreach (Action<byte[]> read in (Action<byte[]>[])[b => WeightProtocol.ReadRequest(b), b => WeightProtocol.ReadAnswer(b), b => WeightProtocol.ReadDescription(b)])
            {
                try
                {
                    read(bytes);
                }
                catch (ProtocolException)
                {
                    // As it should be.
                }
            }
        }
    }

    private PartialModel Open(params WeightMessages.WeightSource[] sources) => PartialModel.Open(
        Cache, new WeightMessages.ModelOffer("demo", _whole.Fingerprint, sources), Options, _log, CancellationToken.None);

    private (long SliceBytes, long FetchedBytes) Ensure(PartialModel partial, SliceRange slice, params WeightMessages.WeightSource[] sources) =>
        partial.Ensure(slice, Options, Known(sources), progress: null, _log, CancellationToken.None);

    private static WeightSources Known(params WeightMessages.WeightSource[] sources)
    {
        var known = new WeightSources();
        known.Set(sources);
        return known;
    }

    private WeightMessages.WeightSource Serve(ModelFile model, bool isGateway)
    {
        var server = WeightServer.Start(new IPEndPoint(IPAddress.Loopback, 0), model, Options);
        _open.Add(server);
        return new WeightMessages.WeightSource($"{(isGateway ? "gateway" : "node")}-{_open.Count}", 1, "127.0.0.1", server.Endpoint.Port, isGateway);
    }

    // The same model for everybody who looks at samples only: every tensor has other bytes in its second quarter.
    private ModelFile Damaged()
    {
        string folder = Path.Combine(_folder.FullName, "damaged");
        Directory.CreateDirectory(folder);
        foreach (string file in Directory.GetFiles(Demo))
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        ModelLayout layout = _whole.Layout;
        foreach (FileExtent extent in layout.Of(SliceRange.Whole(_whole.Config.LayerCount)).Where(extent => extent.Count > 8192))
        {
            using var file = new FileStream(Path.Combine(folder, layout.Files[extent.File].Name), FileMode.Open, FileAccess.ReadWrite);
            file.Position = extent.Offset + (extent.Count / 4);
            file.WriteByte(0x5a);
            file.WriteByte(0xa5);
        }

        ModelFile model = ModelFile.Open(folder);
        _open.Add(model);
        Assert.Equal(_whole.Fingerprint, model.Fingerprint);
        return model;
    }

    private unsafe void AssertHas(PartialModel partial, SliceRange slice)
    {
        for (int layer = slice.First; layer < slice.Last; layer++)
        {
            for (TensorRole role = TensorRole.AttentionNorm; role <= TensorRole.Down; role++)
            {
                var wanted = _whole.Tensor(role, layer);
                var actual = partial.Model.Tensor(role, layer);
                Assert.True(new ReadOnlySpan<byte>((void*)wanted.Address, (int)wanted.ByteCount).SequenceEqual(new ReadOnlySpan<byte>((void*)actual.Address, (int)actual.ByteCount)), $"{role} of layer {layer}");
            }
        }
    }

    private static string Root()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(Path.Combine(folder, "Llama3Cluster.sln")))
            folder = Path.GetDirectoryName(folder);
        return folder!;
    }

    private sealed class Reporter(Action<double> report) : IProgress<double>
    {
        public void Report(double value) => report(value);
    }

    private sealed class Lines : ILogger
    {
        private readonly List<string> _texts = [];

        public string[] Texts
        {
            get
            {
                lock (_texts)
                    return [.. _texts];
            }
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            lock (_texts)
                _texts.Add(formatter(state, exception));
        }
    }
}
