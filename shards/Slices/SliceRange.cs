namespace Llama3Cluster.Shards.Slices;

/// <summary>
/// A contiguous part of a model: the layers [<paramref name="First"/>, <paramref name="Last"/>), with the embedding before them
/// and the final norm and head after them where it says so. A slice may have no layers: only the embedding, or only the head.
/// </summary>
/// <param name="First">First layer.</param>
/// <param name="Last">One past the last layer.</param>
/// <param name="HasEmbedding">Whether it turns tokens into the residual stream: the pipeline's first slice.</param>
/// <param name="HasHead">Whether it turns the residual stream into logits and samples: the pipeline's last slice.</param>
public readonly record struct SliceRange(int First, int Last, bool HasEmbedding, bool HasHead)
{
    /// <summary>Layers of the slice.</summary>
    public int LayerCount => Last - First;

    /// <summary>The whole of a model.</summary>
    public static SliceRange Whole(int layers) => new(0, layers, true, true);

    /// <summary>
    /// Splits a model into slices of equal layer counts, earlier slices taking what does not divide. With more stages than layers
    /// the head, then the embedding, becomes a slice of its own.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">There are fewer than 1 or more than layers + 2 stages.</exception>
    public static SliceRange[] Split(int layers, int stages)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(stages, 1);
        if (stages > layers + 2)
            throw new ArgumentOutOfRangeException(nameof(stages), stages, $"a model of {layers} layers makes at most {layers + 2} stages: the embedding, each layer, the head");

        bool headAlone = stages > layers, embeddingAlone = stages > layers + 1;
        int parts = stages - (headAlone ? 1 : 0) - (embeddingAlone ? 1 : 0);
        var slices = new List<SliceRange>(stages);
        if (embeddingAlone)
            slices.Add(new SliceRange(0, 0, true, false));
        for (int i = 0, first = 0; i < parts; i++)
        {
            int last = first + (layers / parts) + (i < layers % parts ? 1 : 0);
            slices.Add(new SliceRange(first, last, first == 0 && !embeddingAlone, last == layers && !headAlone));
            first = last;
        }

        if (headAlone)
            slices.Add(new SliceRange(layers, layers, false, true));
        return [.. slices];
    }

    /// <inheritdoc/>
    public override string ToString() =>
        $"{(HasEmbedding ? "embedding + " : "")}layers [{First}, {Last}){(HasHead ? " + head" : "")}";
}
