using Llama3Cluster.Kernels.Cpu.Panels;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.MachineCode;

/// <summary>The tiles of one kind of weights, written when they are first needed.</summary>
internal interface IEmittedTiles
{
    /// <inheritdoc cref="IPanelTile.ActivationBytes"/>
    static abstract int ActivationBytes { get; }

    /// <inheritdoc cref="IPanelTile.MostRows"/>
    static abstract int MostRows { get; }

    /// <summary>Writes the tile of so many rows.</summary>
    static abstract byte[] Write(int rows);
}

/// <summary>Weights whose codes are unsigned bytes: a <see cref="ByteTile{TS,TV,TF}"/>.</summary>
internal readonly struct EmittedBytes<TF> : IEmittedTiles
    where TF : struct, IBytePanelFormat
{
    public static int ActivationBytes => ByteActivations.BlockBytes;

    public static int MostRows => 16;

    public static byte[] Write(int rows) => ByteTileCode.Write<TF>(rows);
}

/// <summary>Q8_0: a <see cref="WordTile{TS,TV}"/>. Sixteen rows would need more registers than there are.</summary>
internal readonly struct EmittedWords : IEmittedTiles
{
    public static int ActivationBytes => WordActivations.BlockBytes;

    public static int MostRows => 8;

    public static byte[] Write(int rows) => WordTileCode.Write(rows);
}

/// <summary>Plain numbers: a <see cref="FloatTile{TS,TV,TL}"/>.</summary>
internal readonly struct EmittedFloats<TL> : IEmittedTiles
    where TL : struct, IElementLoader
{
    public static int ActivationBytes => FloatActivations.BlockBytes;

    public static int MostRows => 16;

    public static byte[] Write(int rows) => FloatTileCode.Write<TL>(rows);
}

/// <summary>Tiles in machine code of our own. Its vectors have 512 bits, as many as a panel has outputs: the lane is always 0.</summary>
internal readonly unsafe struct EmittedTile<T> : IPanelTile
    where T : struct, IEmittedTiles
{
    private static readonly TileSet Tiles = new(T.Write, T.MostRows);

    /// <inheritdoc/>
    public static int ActivationBytes => T.ActivationBytes;

    /// <inheritdoc/>
    public static int MostRows => T.MostRows;

    /// <inheritdoc/>
    public static void One(byte* span, int blocks, int lane, byte* x, float* y, bool resumes) =>
        Tiles.One(span, blocks, x, y, 0, resumes ? 1 : 0);

    /// <inheritdoc/>
    public static void Two(byte* span, int blocks, int lane, byte* x, float* y, long yStride, bool resumes) =>
        Tiles.Two(span, blocks, x, y, yStride * sizeof(float), resumes ? 1 : 0);

    /// <inheritdoc/>
    public static void Four(byte* span, int blocks, int lane, byte* x, float* y, long yStride, bool resumes) =>
        Tiles.Four(span, blocks, x, y, yStride * sizeof(float), resumes ? 1 : 0);

    /// <inheritdoc/>
    public static void Eight(byte* span, int blocks, int lane, byte* x, float* y, long yStride, bool resumes) =>
        Tiles.Eight(span, blocks, x, y, yStride * sizeof(float), resumes ? 1 : 0);

    /// <inheritdoc/>
    public static void Sixteen(byte* span, int blocks, int lane, byte* x, float* y, long yStride, bool resumes) =>
        Tiles.Sixteen(span, blocks, x, y, yStride * sizeof(float), resumes ? 1 : 0);
}
