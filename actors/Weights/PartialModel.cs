using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Files.Partial;
using Llama3Cluster.Shards.Slices;
using Microsoft.Extensions.Logging;

namespace Llama3Cluster.Actors.Weights;

/// <summary>
/// The cluster's model on a node that was started without its files: a copy with holes, into which the tensors of a slice are
/// fetched from other nodes before the slice is loaded.
/// </summary>
/// <remarks>
/// What makes the bytes the right ones: nodes are authenticated; the header and the samples of every tensor give the cluster's
/// fingerprint, which is computed here anew; and each piece has the SHA-256 that a gateway states, whose file is by definition what
/// the cluster serves, so a damaged piece of another node is noticed and fetched elsewhere.
/// </remarks>
public sealed class PartialModel : IDisposable
{
    private readonly PartialModelStore _store;
    private readonly IReadOnlyList<WeightMessages.WeightSource> _firstSources;
    private long _receivedBytes;

    private PartialModel(PartialModelStore store, ModelFile model, IReadOnlyList<WeightMessages.WeightSource> firstSources, long receivedBytes)
    {
        _store = store;
        _firstSources = firstSources;
        _receivedBytes = receivedBytes;
        Model = model;
    }

    /// <summary>The model: its configuration and directory are whole, and those tensors that were fetched.</summary>
    public ModelFile Model { get; }

    /// <summary>Where the copy lies.</summary>
    public string Folder => _store.Folder;

    /// <summary>Bytes of the whole model.</summary>
    public long ModelBytes => _store.ModelBytes;

    /// <summary>Bytes of it that are here, from this run and earlier ones.</summary>
    public long HeldBytes => _store.HeldBytes;

    /// <summary>Bytes that came over the network in this run.</summary>
    public long ReceivedBytes => Interlocked.Read(ref _receivedBytes);

    /// <summary>Opens the copy of a model, and fetches what opening takes if it is not there yet.</summary>
    /// <param name="cache">Folder of all copies.</param>
    /// <param name="offer">The cluster's model and who has it.</param>
    /// <param name="links">How to connect to them.</param>
    /// <param name="log">Where pieces that were damaged are reported.</param>
    /// <param name="cancellation">Ends it early; what was fetched stays.</param>
    /// <exception cref="ModelFileException">Nobody gives it, or what they give is not the model, or the cache cannot be used.</exception>
    internal static PartialModel Open(
        string cache, WeightMessages.ModelOffer offer, LinkOptions links, ILogger log, CancellationToken cancellation)
    {
        var store = PartialModelStore.Open(cache, offer.Fingerprint);
        try
        {
            using var fetch = new WeightFetch(store, links, () => offer.Sources, log, cancellation);
            ModelFile model = Reopen(store) ?? Begin(store, fetch);
            try
            {
                fetch.Run(model.Layout.Samples, progress: null);
                RequireSame(model, offer);
            }
            catch
            {
                model.Dispose();
                throw;
            }

            return new PartialModel(store, model, offer.Sources, fetch.ReceivedBytes);
        }
        catch
        {
            store.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Makes sure that the weights of a slice are here and right: those that are there are read and compared, the others are
    /// fetched. Blocks until that is done.
    /// </summary>
    /// <returns>Bytes of the slice, and how many of them came over the network now.</returns>
    /// <exception cref="ModelFileException">They cannot be had; the message says from whom it was tried and why not.</exception>
    internal (long SliceBytes, long FetchedBytes) Ensure(
        SliceRange slice, LinkOptions links, WeightSources sources, IProgress<double>? progress, ILogger log, CancellationToken cancellation)
    {
        IReadOnlyList<FileExtent> extents = Model.Layout.Of(slice);
        using var fetch = new WeightFetch(_store, links, () => sources.Present.Count > 0 ? sources.Present : _firstSources, log, cancellation);
        fetch.Run(extents, progress);
        Interlocked.Add(ref _receivedBytes, fetch.ReceivedBytes);
        return (extents.Sum(extent => extent.Count), fetch.ReceivedBytes);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Model.Dispose();
        _store.Dispose();
    }

    // What an earlier run left, unless it was interrupted so early that it does not open.
    private static ModelFile? Reopen(PartialModelStore store)
    {
        if (!store.IsCreated)
            return null;
        try
        {
            return ModelFile.Open(store.ModelPath);
        }
        catch (ModelFileException)
        {
            store.Clear();
            return null;
        }
    }

    private static ModelFile Begin(PartialModelStore store, WeightFetch fetch)
    {
        ModelDescription description = fetch.Describe();
        store.Create(description.Files, description.OpenAs);
        fetch.Run(description.Opening, progress: null);
        return ModelFile.Open(store.ModelPath);
    }

    private static void RequireSame(ModelFile model, WeightMessages.ModelOffer offer)
    {
        if (model.Fingerprint != offer.Fingerprint)
            throw new ModelFileException(
                $"the copy in {model.Path} has the fingerprint {model.Fingerprint[..12]}…, not the {offer.Fingerprint[..12]}… of the model that the cluster serves: remove it, and fetch it again");
    }
}
