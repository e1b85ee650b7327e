using System.Diagnostics;

namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>Multiplies a few rows of activations by some blocks of a panel, for the lanes of one vector from <c>lane</c> on.</summary>
/// <remarks>
/// <c>span</c> is where the first block's span begins; <c>x</c> a tile's activations from that block on; results are <c>yStride</c>
/// floats apart. If it <c>resumes</c>, sums go on from what <c>y</c> holds.
/// </remarks>
internal unsafe interface IPanelTile
{
    /// <summary>Bytes of a row's activations for one block.</summary>
    static abstract int ActivationBytes { get; }

    /// <summary>Bytes of a block of the panel in the form that the tile takes; 0 if it takes the format's own.</summary>
    static virtual int ExpandedBlockBytes => 0;

    /// <summary>Rows of the largest tile, 8 or 16.</summary>
    static virtual int MostRows => 8;

    /// <summary>Brings some blocks of the panel into that form. The next ones to be brought lie <c>ahead</c> bytes further.</summary>
    static virtual void Expand(byte* span, int blocks, long ahead, byte* to) => throw new UnreachableException();

    /// <summary>One row.</summary>
    static abstract void One(byte* span, int blocks, int lane, byte* x, float* y, bool resumes);

    /// <summary>Two rows.</summary>
    static abstract void Two(byte* span, int blocks, int lane, byte* x, float* y, long yStride, bool resumes);

    /// <summary>Four rows.</summary>
    static abstract void Four(byte* span, int blocks, int lane, byte* x, float* y, long yStride, bool resumes);

    /// <summary>Eight rows.</summary>
    static abstract void Eight(byte* span, int blocks, int lane, byte* x, float* y, long yStride, bool resumes);

    /// <summary>Sixteen rows, if <see cref="MostRows"/> says so.</summary>
    static virtual void Sixteen(byte* span, int blocks, int lane, byte* x, float* y, long yStride, bool resumes) =>
        throw new UnreachableException();
}
