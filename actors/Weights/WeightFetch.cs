using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Runtime.ExceptionServices;
using System.Security.Cryptography;
using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Actors.Security;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Files.Partial;
using Microsoft.Extensions.Logging;

namespace Llama3Cluster.Actors.Weights;

/// <summary>
/// One fetch of part of a model: asks a gateway for the hashes of what is missing, then takes the pieces from whoever has them, on
/// two connections at a time, and keeps those whose hash is right. Blocking.
/// </summary>
internal sealed class WeightFetch : IDisposable
{
    private const int Workers = 2;
    private const int Rounds = 5;
    private static readonly TimeSpan PauseBetweenRounds = TimeSpan.FromSeconds(1);

    private readonly PartialModelStore _store;
    private readonly LinkOptions _links;
    private readonly Func<IReadOnlyList<WeightMessages.WeightSource>> _sources;
    private readonly ILogger _log;
    private readonly CancellationToken _cancellation;
    private readonly Connections _first;
    private readonly ConcurrentDictionary<string, string> _problems = new(); // by source, the last one
    private long _receivedBytes;

    public WeightFetch(
        PartialModelStore store, LinkOptions links, Func<IReadOnlyList<WeightMessages.WeightSource>> sources, ILogger log, CancellationToken cancellation)
    {
        _store = store;
        _links = links;
        _sources = sources;
        _log = log;
        _cancellation = cancellation;
        _first = new Connections(links);
    }

    /// <summary>Bytes of pieces that came over the network.</summary>
    public long ReceivedBytes => Interlocked.Read(ref _receivedBytes);

    /// <summary>What the model consists of, as a gateway says.</summary>
    public ModelDescription Describe() => FromSomebody("the description of the model", Authorities, _first, connection => connection.Describe());

    /// <summary>Makes sure that extents are in the store.</summary>
    /// <exception cref="ModelFileException">Some piece cannot be had.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled; what was fetched stays.</exception>
    public void Run(IReadOnlyList<FileExtent> extents, IProgress<double>? progress)
    {
        long total = Math.Max(extents.Distinct().Sum(extent => extent.Count), 1), present = 0;
        var missing = new ConcurrentQueue<(ModelPiece Piece, byte[] Hash)>();
        foreach (FileExtent part in extents.Distinct().SelectMany(Parts))
        {
            List<ModelPiece> lacking = [.. ModelPiece.Cut(part).Where(piece => !Has(piece))];
            present += part.Count - lacking.Sum(piece => (long)piece.Count);
            progress?.Report((double)present / total);
            if (lacking.Count == 0)
                continue;

            byte[] hashes = FromSomebody("hashes of the weights", Authorities, _first, connection => connection.Hashes(part));
            foreach (ModelPiece piece in lacking)
            {
                int index = (int)((piece.Offset - part.Offset) / ModelPiece.MostBytes) * SHA256.HashSizeInBytes;
                missing.Enqueue((piece, hashes.AsSpan(index, SHA256.HashSizeInBytes).ToArray()));
            }
        }

        _store.RequireRoom(missing.Sum(next => (long)next.Piece.Count));
        Fetch(missing, bytes => progress?.Report((double)(present + bytes) / total));
    }

    public void Dispose() => _first.Dispose();

    // The hashes of a long tensor are asked for in several parts, on the borders of pieces.
    private static IEnumerable<FileExtent> Parts(FileExtent extent)
    {
        for (long done = 0; done < extent.Count; done += WeightProtocol.MostHashedBytes)
            yield return extent with { Offset = extent.Offset + done, Count = Math.Min(WeightProtocol.MostHashedBytes, extent.Count - done) };
    }

    private bool Has(ModelPiece piece)
    {
        _cancellation.ThrowIfCancellationRequested();
        return _store.Verify(piece);
    }

    private void Fetch(ConcurrentQueue<(ModelPiece Piece, byte[] Hash)> missing, Action<long> report)
    {
        long before = ReceivedBytes;
        void Work()
        {
            using var connections = new Connections(_links);
            byte[] buffer = new byte[ModelPiece.MostBytes];
            try
            {
                while (missing.TryDequeue(out (ModelPiece Piece, byte[] Hash) next))
                {
                    FetchPiece(next.Piece, next.Hash, connections, buffer);
                    report(Interlocked.Add(ref _receivedBytes, next.Piece.Count) - before);
                }
            }
            catch
            {
                missing.Clear(); // the others need not go on
                throw;
            }
        }

        int workers = Math.Min(Workers, missing.Count);
        Task[] tasks = [.. Enumerable.Range(0, workers).Select(_ => Task.Factory.StartNew(Work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default))];
        try
        {
            Task.WaitAll(tasks, CancellationToken.None);
        }
        catch (AggregateException error)
        {
            ExceptionDispatchInfo.Throw(error.InnerExceptions[0]);
        }
    }

    private void FetchPiece(ModelPiece piece, byte[] hash, Connections connections, byte[] buffer)
    {
        FromSomebody("a piece of the weights", _sources, connections, connection =>
        {
            Span<byte> bytes = buffer.AsSpan(0, piece.Count);
            connection.Read(piece, bytes);
            if (!SHA256.HashData(bytes).AsSpan().SequenceEqual(hash))
                throw new DamagedPieceException($"{piece.Count} bytes at {piece.Offset} of file {piece.File} have not the hash that the cluster's gateway states: they were damaged on the way, or that node's file is");
            _store.Write(piece, bytes);
            return true;
        });
    }

    // What a gateway's file says is what the cluster serves.
    private IReadOnlyList<WeightMessages.WeightSource> Authorities() => [.. _sources().Where(source => source.IsGateway)];

    // Each source in turn, and then again after a pause: nodes come, go and are busy.
    private T FromSomebody<T>(
        string what, Func<IReadOnlyList<WeightMessages.WeightSource>> sources, Connections connections, Func<WeightConnection, T> ask)
    {
        for (int round = 0; round < Rounds; round++)
        {
            if (round > 0 && _cancellation.WaitHandle.WaitOne(PauseBetweenRounds))
                break;
            foreach (WeightMessages.WeightSource source in sources())
            {
                _cancellation.ThrowIfCancellationRequested();
                try
                {
                    return ask(connections.To(source));
                }
                catch (Exception error) when (error is IOException or SocketException or TimeoutException or ProtocolException or LinkRefusedException
                    or PeerRefusedException or DamagedPieceException or ObjectDisposedException)
                {
                    connections.Drop(source);
                    bool known = _problems.TryGetValue(source.Node, out string? before) && before == error.Message;
                    _problems[source.Node] = error.Message;
                    if (error is DamagedPieceException && !known)
                        _log.LogWarning("weights from {Node}: {Problem}; another node is asked for them", source.Node, error.Message);
                }
            }
        }

        _cancellation.ThrowIfCancellationRequested();
        throw new ModelFileException(_problems.IsEmpty
            ? $"no node of the cluster gives {what}: is a gateway up?"
            : $"no node of the cluster gives {what}: {string.Join("; ", _problems.Select(problem => $"{problem.Key}: {problem.Value}"))}");
    }

    private sealed class DamagedPieceException(string message) : Exception(message);

    /// <summary>The connections of one thread.</summary>
    private sealed class Connections(LinkOptions links) : IDisposable
    {
        private readonly Dictionary<(string, int), WeightConnection> _open = [];

        public WeightConnection To(WeightMessages.WeightSource source)
        {
            if (!_open.TryGetValue((source.Host, source.Port), out WeightConnection? connection))
            {
                if (!IPAddress.TryParse(source.Host, out IPAddress? address))
                    throw new ProtocolException($"\"{source.Host}\" is not an address");
                connection = WeightConnection.Dial(new IPEndPoint(address, source.Port), links);
                _open.Add((source.Host, source.Port), connection);
            }

            return connection;
        }

        public void Drop(WeightMessages.WeightSource source)
        {
            if (_open.Remove((source.Host, source.Port), out WeightConnection? connection))
                connection.Dispose();
        }

        public void Dispose()
        {
            foreach (WeightConnection connection in _open.Values)
                connection.Dispose();
        }
    }
}
