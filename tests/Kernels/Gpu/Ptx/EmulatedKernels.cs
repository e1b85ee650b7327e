using System.Collections.Concurrent;
using ILGPU.Runtime.Cuda;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Gpu.Cuda.Products;
using Llama3Cluster.Kernels.Gpu.Cuda.Rows;
using Llama3Cluster.Kernels.Gpu.Cuda.Weights;
using Llama3Cluster.Kernels.Gpu.Launch;
using Llama3Cluster.Kernels.Tests.Gpu.Ptx.Emulation;

namespace Llama3Cluster.Kernels.Tests.Gpu.Ptx;

/// <summary>The CUDA kernels on the emulated device, with their operands as the device would hold them.</summary>
internal sealed class EmulatedKernels
{
    private static readonly ConcurrentDictionary<string, PtxProgram> Programs = new();

    private readonly PtxMemory _memory = new();

    /// <summary>Activations made ready: their address, and that of their scales.</summary>
    public readonly record struct Activations(ulong Elements, ulong Scales, int Rows, int Columns);

    /// <summary>Runs one of the kernels that make rows ready.</summary>
    public Activations Prepare(KernelEntry<RowParameters> kernel, float[] input, float[] partner, int columns, float epsilon = 0)
    {
        int rows = input.Length / columns;
        var result = new Activations(
            _memory.Allocate(ActivationLayout.ByteCount(rows, columns)), _memory.Allocate(rows * sizeof(float)), rows, columns);
        Launch(_memory, kernel, (rows, 1, 1), new RowParameters
        {
            Input = _memory.Copy<float>(input),
            Partner = _memory.Copy<float>(partner),
            Activations = result.Elements,
            RowScales = result.Scales,
            Columns = columns,
            Epsilon = epsilon,
        });
        return result;
    }

    /// <summary>The elements that the tensor cores will see, scaled back.</summary>
    public float[] Read(Activations activations, bool bf16)
    {
        ushort[] elements = _memory.Read<ushort>(
            activations.Elements, (int)(ActivationLayout.ByteCount(activations.Rows, activations.Columns) / sizeof(ushort)));
        float[] scales = _memory.Read<float>(activations.Scales, activations.Rows), result = new float[activations.Rows * activations.Columns];
        for (int i = 0; i < result.Length; i++)
        {
            // From the words of ActivationLayout's remarks.
            int row = i / activations.Columns, column = i % activations.Columns;
            int tile = column / 256, quarter = column % 256 / 64, slab = column % 64 / 8, element = column % 8;
            int piece = (((row / 8 * (activations.Columns / 256)) + tile) * 8) + slab, lane = (row % 8 * 4) + quarter;
            ushort bits = elements[(((piece * 32) + lane) * 8) + element];
            result[i] = scales[row] * (bf16 ? Bf16.ToSingle(bits) : (float)BitConverter.UInt16BitsToHalf(bits));
        }

        return result;
    }

    /// <summary>Multiplies by matrices of one format; each result starts as the addend, or without one as what memory starts as.</summary>
    public float[][] Multiply(KernelEntry<ProductParameters> kernel, Activations activations, float[]? addend, params TensorData[] matrices)
    {
        bool prefill = kernel.Traits.Name.StartsWith("prefill", StringComparison.Ordinal);
        int groupOutputs = prefill ? PrefillProduct.Outputs : TileLayout.Rows, groups = 0;
        var targets = new ProductTarget[3];
        for (int i = 0; i < matrices.Length; i++)
        {
            ulong output = addend is null ? _memory.Allocate((long)activations.Rows * matrices[i].Rows * sizeof(float)) : _memory.Copy<float>(addend);
            targets[i] = new ProductTarget
            {
                Weights = _memory.Copy<byte>(Pack(matrices[i])),
                Output = output,
                Addend = addend is null ? 0 : output,
                Outputs = matrices[i].Rows,
                Stride = matrices[i].Rows,
                FirstGroup = groups,
            };
            groups += (matrices[i].Rows + groupOutputs - 1) / groupOutputs;
        }

        int rowGroups = (activations.Rows + ActivationLayout.PaddedRows - 1) / ActivationLayout.PaddedRows;
        Launch(_memory, kernel, prefill ? (rowGroups, groups, 1) : (groups, 1, 1), new ProductParameters
        {
            First = targets[0],
            Second = targets[1],
            Third = targets[2],
            Activations = activations.Elements,
            RowScales = activations.Scales,
            Rows = activations.Rows,
            Tiles = activations.Columns / TileLayout.Columns,
            TilesPerPart = TileLayout.TilesPerPart(activations.Columns),
            Targets = matrices.Length,
        });
        return [.. matrices.Select((matrix, i) => _memory.Read<float>(targets[i].Output, activations.Rows * matrix.Rows))];
    }

    /// <summary>A matrix in tiles.</summary>
    public static byte[] Pack(TensorData matrix)
    {
        var tiles = new byte[TileLayout.ByteCount(matrix.Format, matrix.Rows, matrix.Columns)];
        int rowBytes = tiles.Length / TileLayout.RowTiles(matrix.Rows);
        for (int tile = 0; tile < TileLayout.RowTiles(matrix.Rows); tile++)
            TilePacker.Pack(matrix, tile, tiles.AsSpan(tile * rowBytes, rowBytes));
        return tiles;
    }

    /// <summary>Launches a kernel; its PTX is made once.</summary>
    public static void Launch<TArgs>(PtxMemory memory, KernelEntry<TArgs> kernel, (int X, int Y, int Z) grid, TArgs arguments)
        where TArgs : struct
    {
        PtxProgram program = Programs.GetOrAdd(
            kernel.Traits.Name, _ => PtxProgram.Parse(PtxCompiler.Compile(kernel, CudaArchitecture.SM_80)));
        PtxGroup.Launch(program, memory, grid, kernel.Traits.GroupSize, arguments);
    }
}
